import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from reports.saved.environment import collect
from reports.saved.records import RecordsError, read_run
from tests.processes import wait_until
from verify.fleet.unit import Unit
from verify.fleet.units_kept import KeptUnits

FUNCTION = "tests.verify.fleet.quick_units:square"


def units(count, **more):
    return [Unit(f"unit {n}", FUNCTION, {"n": n, **more}) for n in range(count)]


def run(folder, work, at_most=10**6, kind="campaign"):
    """Do units in a folder; returns the keys of those that were done now."""
    now = []
    with KeptUnits(
        kind, work, command=["python"], environment=collect(), out=folder
    ) as kept, closing(kept.run()) as found:  # fmt: skip
        for done in found:
            now.append(done.key)
            if len(now) == at_most:
                return now
        kept.finish({"verdict": "PASS", "sum": total(kept)})
    return now


def total(kept):
    return sum(record["square"] for done in kept.in_order() for record in done.records)


def end(folder):
    return {**read_run(folder).end, "finished_utc": None}


def test_each_unit_is_one_record_with_all_that_it_found(tmp_path):
    run(tmp_path / "a", units(3))
    found = read_run(tmp_path / "a").of("unit")
    assert [unit["key"] for unit in found] == ["unit 0", "unit 1", "unit 2"]
    assert found[2]["records"] == [{"record": "square", "n": 2, "square": 4}]
    assert {unit["node"] for unit in found} == {"here"}


def test_a_run_that_was_stopped_is_gone_on_with_and_ends_like_one_that_was_not(tmp_path):
    run(tmp_path / "whole", units(5))
    assert run(tmp_path / "parts", units(5), at_most=2) == ["unit 0", "unit 1"]
    assert read_run(tmp_path / "parts").end is None
    assert run(tmp_path / "parts", units(5)) == ["unit 2", "unit 3", "unit 4"]
    assert end(tmp_path / "parts") == end(tmp_path / "whole")


def test_a_record_that_was_cut_off_is_done_again(tmp_path):
    run(tmp_path / "a", units(4), at_most=3)
    records = tmp_path / "a" / "records.jsonl"
    records.write_bytes(records.read_bytes()[:-30])
    assert run(tmp_path / "a", units(4)) == ["unit 2", "unit 3"]
    assert len(read_run(tmp_path / "a").of("unit")) == 4


def test_a_unit_that_is_recorded_twice_counts_once(tmp_path):
    run(tmp_path / "a", units(3), at_most=2)
    records = tmp_path / "a" / "records.jsonl"
    lines = records.read_text().splitlines(keepends=True)
    records.write_text("".join([*lines, lines[-1]]))
    assert run(tmp_path / "a", units(3)) == ["unit 2"]
    assert end(tmp_path / "a")["sum"] == 0 + 1 + 4


def test_a_run_that_has_ended_is_shown_again_and_not_written_to(tmp_path):
    run(tmp_path / "a", units(3))
    before = (tmp_path / "a" / "records.jsonl").read_bytes()
    assert run(tmp_path / "a", units(3)) == []
    assert (tmp_path / "a" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("work", "kind", "why"),
    [
        (units(9), "campaign", "has come to its end"),
        (units(3, seconds=0.001), "campaign", "unit 0 was done with other options"),
        (units(3), "rules", "a run of campaign, not of rules"),
    ],
)
def test_a_folder_with_other_work_is_refused(tmp_path, work, kind, why):
    run(tmp_path / "a", units(3))
    before = (tmp_path / "a" / "records.jsonl").read_bytes()
    with pytest.raises(RecordsError, match=why):
        run(tmp_path / "a", work, kind=kind)
    assert (tmp_path / "a" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("place", "why"), [(("code_sha256", "impl"), "other code of impl/"),
                       (("versions", "numpy"), "begun with numpy")],
)  # fmt: skip
def test_a_run_that_was_begun_with_something_else_is_refused(tmp_path, place, why):
    run(tmp_path / "a", units(3), at_most=1)
    records = tmp_path / "a" / "records.jsonl"
    header, *rest = map(json.loads, records.read_text().splitlines())
    header["environment"][place[0]][place[1]] = "another"
    records.write_text("".join(json.dumps(one) + "\n" for one in (header, *rest)))
    with pytest.raises(RecordsError, match=why):
        run(tmp_path / "a", units(3))


KILLED = """
from pathlib import Path
from tests.verify.fleet.test_units_kept import run, units
run(Path({folder!r}), units(40, seconds=0.05))
"""


def test_after_the_driver_was_killed_the_rest_is_done_and_nothing_twice(tmp_path):
    folder = tmp_path / "a"
    program = [sys.executable, "-c", KILLED.format(folder=str(folder))]
    with subprocess.Popen(program, env=os.environ, stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: count(folder) >= 5)
        process.send_signal(signal.SIGKILL)
    before = count(folder)
    assert 5 <= before < 40
    assert len(run(folder, units(40, seconds=0.05))) == 40 - before
    keys = [unit["key"] for unit in read_run(folder).of("unit")]
    assert sorted(keys) == sorted({f"unit {n}" for n in range(40)})


def count(folder):
    records = folder / "records.jsonl"
    return records.read_text().count('"record": "unit"') if records.exists() else 0
