"""A benchmark that is stopped, at whatever moment, leaves what it measured and no process."""

import json
import signal

import pytest

from bench.cli import main
from bench.results.replays import PARTS
from reports.saved.records import RECORDS, read_run
from tests.processes import family, gone, started, wait_until

TORCH = "--model", "random:tiny", "--device", "cpu", "--arms", "torch", "-p", "4", "-n", "0"
ENDLESS = *TORCH, "--blocks", "5000", "--processes", "2"


def recorded(folder, text, count=1):
    """Whether the records hold a text so many times by now."""
    file = folder / RECORDS
    return lambda: file.is_file() and file.read_text().count(text) >= count


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_a_run_that_is_stopped_has_rows_and_a_page(tmp_path, number, code, words):
    out = tmp_path / "run"
    with started("bench", *ENDLESS, "-o", out) as bench:
        assert wait_until(recorded(out, '"record": "agreement"', 8))
        workers = family(bench)
        bench.send_signal(number)
        text, errors = bench.communicate(timeout=300)
    assert bench.returncode == code
    assert errors == (
        f"bench: {words}; the table shows what was measured; the records are in {out}\n"
    )
    assert "pp4" in text
    run = read_run(out)
    assert {row["status"] for row in run.of("row")} == {"VALID"}
    assert run.end is None
    assert (out / "report.html").is_file()
    assert workers
    assert gone(workers)


def test_a_run_that_is_stopped_while_it_loads_says_where_its_records_are(tmp_path):
    out = tmp_path / "run"
    with started("bench", *TORCH, "-o", out) as bench:
        assert wait_until(recorded(out, '"record": "run"'))
        bench.terminate()
        _, errors = bench.communicate(timeout=300)
    assert bench.returncode == 143
    told = f"before anything was measured; the records are in {out}\n"
    assert errors == f"bench: ended by SIGTERM {told}"


def test_a_run_that_is_killed_leaves_no_process_and_can_be_finished(tmp_path, capsys):
    """While one worker computes, the others are stopped (SIGSTOP)."""
    out = tmp_path / "run"
    with started("bench", *ENDLESS, "-o", out) as bench:
        assert wait_until(recorded(out, '"record": "sample"', 100))
        workers = family(bench)
        assert main(["finish", str(out)]) == 2
        assert "its run has not ended" in capsys.readouterr().err
        bench.kill()
        bench.wait()
        assert len(workers) == 4  # torch twice, the referee, the ceilings
        assert gone(workers)
    assert main(["finish", str(out)]) == 0
    assert "pp4" in capsys.readouterr().out
    run = read_run(out)
    assert {row["status"] for row in run.of("row")} == {"VALID"}
    assert {ceiling["ceiling"] for ceiling in run.of("ceiling")} > {"read", "gemm"}
    assert (out / "report.html").is_file()
    assert main(["finish", str(out)]) == 0
    assert "was stopped, and has the results" in capsys.readouterr().out


def test_ceilings_that_are_stopped_show_what_they_have_and_can_be_finished_when_killed(tmp_path):
    out = tmp_path / "run"
    command = "bench", "ceilings", "--model", "random:tiny", "--device", "cpu", "--blocks", "9999"
    with started(*command, "-o", out) as ceilings:
        assert wait_until(recorded(out, '"record": "rate"', 8))
        workers = family(ceilings)
        ceilings.terminate()
        text, errors = ceilings.communicate(timeout=300)
    assert ceilings.returncode == 143
    assert errors == f"bench: ended by SIGTERM; the records are in {out}\n"
    assert "GB/s" in text
    assert read_run(out).of("ceiling")
    assert gone(workers)
    lines = (out / RECORDS).read_text().splitlines(keepends=True)
    killed = [line for line in lines if json.loads(line)["record"] != "ceiling"]
    (out / RECORDS).write_text("".join(killed))
    assert main(["finish", str(out)]) == 0
    assert len(read_run(out).of("ceiling")) == len(lines) - len(killed)


def test_a_null_that_is_stopped_keeps_its_replays_and_leaves_no_load(tmp_path):
    out = tmp_path / "run"
    short = "-p", "4", "--blocks", "6", "--processes", "3", "--pool", "0"
    with started("bench", "null", "--replays", "500", *short, "-o", out) as null:
        assert wait_until(recorded(out, '"record": "replay"'), 300)
        children = family(null)
        null.terminate()
        text, errors = null.communicate(timeout=300)
    assert null.returncode == 143
    assert "1 replay of equal code" in text
    (replay,) = read_run(out).of("replay")
    assert set(replay["ratios"]) == set(PARTS[1:])
    assert all(one["quads"] == 3 for one in replay["ratios"].values())
    assert errors.endswith(f"replays; the records are in {out}\n")
    assert (out / "report.html").is_file()
    assert gone(children)
