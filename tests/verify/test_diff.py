import pytest

from reports.saved.records import RunWriter, read_run
from verify import diff
from verify.diff import DiffError, compare

PLACES = ("transformer.h.0.ln_1", "transformer.h.0.attn", "lm_head")


def write(folder, errors, weights="abc", version="26.7.0", verdicts=()):
    """A run with one isolated check of each place."""
    environment = {"weights_sha256": weights, "versions": {"max": version}}
    writer = RunWriter("verify", command=["verify"], environment=environment, out=folder)
    with writer:
        for place, (tap, error) in enumerate(zip(PLACES, errors, strict=True)):
            verdict = verdicts[place] if verdicts else "PASS"
            writer.write(
                {"record": "check", "case": "given-1x9", "mode": "isolated", "tap": tap,
                 "verdict": verdict, "shape": [1, 9, 4], "rms": error, "max_abs": 3 * error,
                 "ulp": error * 1e8},
            )  # fmt: skip
        writer.finish({"verdict": "PASS"})
    return folder


def test_equal_runs_have_no_change(tmp_path, capsys):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 2e-8, 3e-8])
    assert {change.verdict for change in compare(read_run(a), read_run(b))} == {"same"}
    assert diff.main([str(a), str(b)]) == 0
    assert "3 places compared: 3 same" in capsys.readouterr().out


def test_a_stage_that_changed_is_told_with_its_direction_and_size(tmp_path, capsys):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 4e-8, 1.5e-8], version="26.8.0")
    first, second, third = compare(read_run(a), read_run(b))
    assert first.verdict == "same"
    assert (second.verdict, second.ulp) == ("worse", (2.0, 4.0))
    assert third.verdict == "better"
    assert third.rms_ratio == pytest.approx(0.5)
    assert diff.main([str(a), str(b)]) == 0
    assert "max: 26.7.0 -> 26.8.0" in capsys.readouterr().out


def test_a_place_that_fails_now_is_exit_1(tmp_path):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 2e-2, 3e-8], verdicts=["PASS", "FAIL", "PASS"])
    assert compare(read_run(a), read_run(b))[1].broken == ("given-1x9",)
    assert diff.main([str(a), str(b)]) == 1
    assert diff.main([str(b), str(a)]) == 0


def test_runs_of_other_weights_are_refused(tmp_path, capsys):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 2e-8, 3e-8], weights="def")
    with pytest.raises(DiffError, match="different weights"):
        compare(read_run(a), read_run(b))
    assert diff.main([str(a), str(b)]) == 2
    assert diff.main([str(a), str(tmp_path)]) == 2
    assert "holds no records" in capsys.readouterr().err
