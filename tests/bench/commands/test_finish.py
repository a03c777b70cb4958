"""Rows for a run that was killed, from what it had written down."""

import json
from pathlib import Path

import pytest

from bench.commands.finish import main
from bench.results.rebuilt import groups_of, plan_of
from reports.commands import UsageError
from reports.output.render import render
from reports.saved.records import RECORDS, RecordsError, RunWriter, read_run
from tests.bench.helpers import PP8, TG4, plan, samples
from tests.conforming import record_misfits

ARMS = ["torch", "torch#2"]
PLACE = {"model": "tiny", "device": "cpu", "threads": 2}


def facts(**rest):
    return {
        "runtime": "torch 2",
        "kernel_path": None,
        "weight_bytes": 10,
        "weight_bits": None,
    } | rest


@pytest.fixture
def killed(tmp_path):
    """A run's folder as SIGKILL leaves it: samples, a judged output for each turn, no row."""
    return write_killed(tmp_path / "run", dict(zip(ARMS, (1.0, 1.02), strict=True)))


def write_killed(folder, arms):
    """Such a run, of arms that take so many times as long as 10 ms."""
    writer = RunWriter(
        "bench", command=["python"], environment={"model": "tiny", "threads": [2]}, out=folder
    )
    with writer:
        asked = plan(list(arms), (PP8, TG4))
        writer.write({"record": "plan", **PLACE, "plan": asked.as_dict()})
        for arm, slower in arms.items():
            place = {**PLACE, "arm": arm, "dtype": "float32", "workload": None}
            told = {"facts": facts(), "error": "", "skipped": ""}
            writer.write({"record": "ready", **place, **told})
            writer.write({"record": "phase", **place, "phase": "load", "seconds": 1.5})
            for workload in (PP8, TG4):
                there = {**place, "workload": workload.name}
                held = {"peak_rss_mib": 300.0, "peak_device_mib": None, "kv_bytes": None}
                writer.write({"record": "held", **there, **held})
                for sample in samples(workload, 10 * slower):
                    writer.write({**sample, **there})
                writer.write({"record": "agreement", **there, "block": 0, "agreed": True})
        for rate in (1e11, 2e11):
            ceiling = {"ceiling": "gemm", "dtype": "float32", "workload": None, "what": "512^3"}
            writer.write({"record": "rate", **PLACE, **ceiling, "rate": rate})
    return folder


def test_a_killed_run_gets_the_rows_that_its_samples_allow(killed, capsys):
    assert main([str(killed)]) == 0
    run = read_run(killed)
    rows = run.of("row")
    assert [(row["workload"], row["arm"]) for row in rows] == [
        (workload.name, arm) for workload in (PP8, TG4) for arm in ARMS
    ]
    assert {row["status"] for row in rows} == {"VALID"}
    assert rows[0]["median_s"] == pytest.approx(0.01)
    assert rows[1]["median_s"] == pytest.approx(0.0102)
    assert rows[0]["load_s"] == 1.5
    assert rows[0]["peak_rss_mib"] == 300.0
    (ceiling,) = run.of("ceiling")
    assert ceiling["value"] == pytest.approx(200)
    assert run.end is None
    assert "torch" in capsys.readouterr().out
    assert (killed / "report.html").is_file()


def test_what_is_finished_answers_as_a_run_that_ended(tmp_path, capsys):
    """Pairs are records, so that the page can be made again without bench."""
    arms = {"max": 0.5, "torch": 1.0, "openvino": 0.4, "torch#2": 1.0}
    folder = write_killed(tmp_path / "run", arms)
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"Decode after {TG4.n_depth} tokens: MAX takes 1.250 [1.250, 1.250] times as long as the "
        "fastest"
    )
    pairs = read_run(folder).of("pair")
    assert [(pair["workload"], pair["arm"]) for pair in pairs] == [
        (workload.name, arm) for workload in (PP8, TG4) for arm in ("torch", "openvino")
    ]
    assert record_misfits_of("pair", folder) == []
    page = (folder / "report.html").read_bytes()
    assert b"MAX is slower than another arm in both workloads" in page
    (folder / "report.html").unlink()
    render(folder)
    assert (folder / "report.html").read_bytes() == page


def record_misfits_of(kind, folder):
    return [text for text in record_misfits(folder) if text.startswith(f"{kind}:")]


def test_a_last_line_that_was_cut_off_is_taken_away(killed):
    file = killed / RECORDS
    file.write_bytes(file.read_bytes() + b'{"record": "sam')
    assert main([str(killed)]) == 0
    assert read_run(killed).damaged == 0


def test_a_run_that_has_rows_is_left_as_it_is(killed, capsys):
    main([str(killed)])
    before = (killed / RECORDS).read_bytes()
    assert main([str(killed)]) == 0
    assert "has the results of what it had measured" in capsys.readouterr().out
    assert (killed / RECORDS).read_bytes() == before


def test_a_run_that_goes_on_is_not_finished(killed):
    with (
        RunWriter.continued(killed, read_run(killed)),
        pytest.raises(RecordsError, match="still being written"),
    ):
        main([str(killed)])


def test_what_cannot_be_finished_is_one_sentence(killed, tmp_path):
    lines = (killed / RECORDS).read_text().splitlines()
    old = [line for line in lines if json.loads(line)["record"] != "plan"]
    (killed / RECORDS).write_text("\n".join(old) + "\n")
    with pytest.raises(
        UsageError, match=r"its command cannot be read|does not say what was planned"
    ):
        main([str(killed)])
    none = [line for line in lines if json.loads(line)["record"] != "sample"]
    (killed / RECORDS).write_text("\n".join(none) + "\n")
    with pytest.raises(UsageError, match="before anything was measured"):
        main([str(killed)])
    with pytest.raises(RecordsError, match="holds no records"):
        main([str(tmp_path / "nowhere")])


def test_an_arm_that_took_no_part_says_why(killed):
    skipped = {"facts": {}, "error": "", "skipped": "it is not installed"}
    with RunWriter.continued(killed, read_run(killed)) as writer:
        place = {**PLACE, "arm": "torch#2", "dtype": "float32", "workload": None}
        writer.write({"record": "ready", **place, **skipped})
    (group,) = groups_of(read_run(killed))
    assert [contestant.skipped for contestant in group.contestants] == ["", "it is not installed"]


def test_a_plan_is_read_as_it_was_written():
    asked = plan(ARMS, (PP8, TG4))
    record = json.loads(json.dumps({"plan": asked.as_dict()}))
    assert plan_of(record) == asked


DATA = Path(__file__).parents[2] / "reports" / "data"


@pytest.mark.parametrize("version", [2, 3])
def test_a_run_of_an_older_version_that_was_killed_is_finished_too(version, tmp_path):
    """As that version would have: the same medians, but without the intervals of one process."""
    lines = (DATA / f"version-{version}-bench.jsonl").read_text().splitlines()
    made = {"row", "null", "effect", "ceiling", "end"}
    kept = [line for line in lines if json.loads(line)["record"] not in made]
    (tmp_path / RECORDS).write_text("\n".join(kept) + "\n")
    assert main([str(tmp_path)]) == 0
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / RECORDS).write_text("\n".join(lines) + "\n")
    before, after = (read_run(folder).of("row") for folder in (tmp_path / "whole", tmp_path))
    assert len(before) == len(after) == 4
    for old, new in zip(before, after, strict=True):
        for key in ("workload", "arm", "status", "median_s", "quads", "bytes", "load_s"):
            assert new[key] == pytest.approx(old[key]), key
        assert new["peak_rss_mib"] == pytest.approx(old["peak_rss_mib"])
        assert (new["processes"], new["ci_lo_s"]) == (1, None)
