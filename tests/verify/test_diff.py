import json
import os
import subprocess
import sys

import pytest

from reports.saved.records import RunWriter, read_run
from tests.conforming import file_misfits
from tests.processes import ROOT
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


def test_a_stage_that_changed_is_shown_with_its_direction_and_size(tmp_path, capsys):
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


def test_the_answer_is_the_first_line(tmp_path, capsys):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 2e-2, 3e-8], verdicts=["PASS", "FAIL", "PASS"])
    diff.main([str(a), str(b)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "B breaks h.0.attn, which passes in A."
    assert lines[-1] == f"Report: {b / 'compare-a.html'}"


def test_the_page_and_the_json_say_the_same(tmp_path):
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 2e-2, 3e-8], verdicts=["PASS", "FAIL", "PASS"])
    page, told = tmp_path / "page.html", tmp_path / "out.json"
    assert diff.main([str(a), str(b), "--page", str(page), "--json", str(told)]) == 1
    assert file_misfits("diff", told) == []
    found = json.loads(told.read_text())
    assert (found["verdict"], found["runs"], found["page"]) == ("BROKEN", ["a", "b"], str(page))
    assert f"<h1>{found['answer']}</h1>" in page.read_text(encoding="utf-8")
    assert not (b / "compare-a.html").exists()
    broken = {place["tap"]: place["broken"] for place in found["places"] if place["broken"]}
    assert broken == {PLACES[1]: ["given-1x9"]}


def test_the_table_is_cut_and_all_shows_the_rest(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(diff, "MOST_ROWS", 1)
    a = write(tmp_path / "a", [1e-8, 2e-8, 3e-8])
    b = write(tmp_path / "b", [1e-8, 4e-8, 9e-8])
    diff.main([str(a), str(b)])
    shown = capsys.readouterr().out
    assert "and 1 more that changed" in shown
    assert "h.0.ln_1 " not in shown
    diff.main([str(a), str(b), "--all"])
    assert "h.0.ln_1 " in capsys.readouterr().out


def test_other_machines_are_told_before_the_table(tmp_path, capsys):
    a, b = (tmp_path / name for name in "ab")
    for folder, cpu in ((a, "one"), (b, "another")):
        environment = {"cpu": cpu, "weights_sha256": "abc"}
        with RunWriter("verify", command=[], environment=environment, out=folder) as writer:
            writer.write(
                {"record": "check", "case": "given-1x9", "mode": "isolated", "tap": "lm_head",
                 "verdict": "PASS", "shape": [1], "rms": 1e-8, "max_abs": 1e-8, "ulp": 1.0}
            )  # fmt: skip
    diff.main([str(a), str(b)])
    assert "not measured alike: cpu: one -> another" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_where_it_was_asked_for_is_exit_2(tmp_path, capsys):
    a, b = (write(tmp_path / name, [1e-8, 2e-8, 3e-8]) for name in "ab")
    assert diff.main([str(a), str(b), "--page", str(tmp_path / "none" / "page.html")]) == 2
    assert "--page: there is no folder" in capsys.readouterr().err


def test_a_page_that_is_in_the_way_costs_no_answer(tmp_path, capsys):
    a, b = (write(tmp_path / name, [1e-8, 2e-8, 3e-8]) for name in "ab")
    (b / "compare-a.html").mkdir()
    assert diff.main([str(a), str(b)]) == 0
    said = capsys.readouterr()
    assert "Nothing changed" in said.out
    assert "Report" not in said.out
    assert "no page: " in said.err


def test_a_right_and_a_faulty_candidate_are_compared_without_a_compile(tmp_path):
    """Two real runs of the mathematics: of impl's model, and of a port with another GELU."""
    faulty = ["--candidate", "tests/verify/models/gelu_erf.py:model"]
    chosen = ["--quick", "--regimes", "given", "--lengths", "5", "--seed", "0", "-q", "--out"]
    assert run(*chosen, str(tmp_path / "a")).returncode == 0
    assert run(*chosen, str(tmp_path / "b"), *faulty).returncode == 1
    told = tmp_path / "out.json"
    done = run("diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json", str(told))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("B breaks h.3.mlp.act, which passes in A.\n")
    found = json.loads(told.read_text())
    assert file_misfits("diff", told) == []
    alone = [p for p in found["places"] if p["verdict"] == "broken" and p["mode"] == "math"]
    assert [place["tap"] for place in alone] == ["transformer.h.3.mlp.act"]
    assert alone[0]["rms_log2"] > 30


def run(*words):
    command = [sys.executable, "-m", "verify", *words]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=300
    )
