"""A benchmark that is stopped, at whatever moment, leaves what it measured and no process."""

import signal

import pytest

from reports.saved.records import RECORDS, read_run
from tests.processes import family, gone, started, wait_until

TORCH = "--model", "random:tiny", "--device", "cpu", "--arms", "torch", "-p", "4", "-n", "0"


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
    with started("bench", *TORCH, "--blocks", "5000", "-o", out) as bench:
        assert wait_until(recorded(out, '"record": "agreement"', 8))
        workers = family(bench)
        bench.send_signal(number)
        text, errors = bench.communicate(timeout=60)
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
        _, errors = bench.communicate(timeout=60)
    assert bench.returncode == 143
    told = f"before anything was measured; the records are in {out}\n"
    assert errors == f"bench: ended by SIGTERM {told}"


def test_a_run_that_is_killed_leaves_no_process(tmp_path):
    """While one worker computes, the others are stopped (SIGSTOP)."""
    out = tmp_path / "run"
    with started("bench", *TORCH, "--blocks", "5000", "-o", out) as bench:
        assert wait_until(recorded(out, '"record": "sample"'))
        workers = family(bench)
        bench.kill()
        bench.wait()
        assert len(workers) == 4  # torch twice, the referee, the ceilings
        assert gone(workers)


def test_a_null_that_is_stopped_keeps_its_replays_and_leaves_no_load(tmp_path):
    out = tmp_path / "run"
    with started(
        "bench", "null", "--replays", "500", "-p", "4", "--blocks", "12", "-o", out
    ) as one:
        assert wait_until(recorded(out, '"record": "replay"', 2))
        children = family(one)
        one.terminate()
        text, errors = one.communicate(timeout=60)
    assert one.returncode == 143
    assert "replays of equal code" in text
    assert errors.endswith(f"replays; the records are in {out}\n")
    assert (out / "report.html").is_file()
    assert gone(children)
