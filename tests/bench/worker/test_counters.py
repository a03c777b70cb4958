"""Counters are read from the operating system, and are missing rather than wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.worker import counters
from bench.worker.counters import Counters, peak_rss_mib, read_counters


def test_only_what_was_added_counts():
    assert Counters(5, 700, 30).since(Counters(3, 500, 10)) == Counters(2, 200, 20)
    assert Counters(5, None).since(Counters(3, 500)).psi_us is None


@pytest.mark.parametrize(
    ("spent", "clean"),
    [
        (Counters(0, 0, 0), True),
        (Counters(0, None, None), True),
        (Counters(1, 15_000, 0), True),
        (Counters(0, 30_000, 0), False),
        (Counters(20, 0, 0), False),
        (Counters(0, 0, 10_000), False),
        (Counters(99, 1_000_000, 0, 15_000), True),
        (Counters(0, 0, 0, 30_000), False),
        (Counters(0, 0, 10_000, 0), False),
    ],
)
def test_a_block_is_clean_if_nobody_waited_was_pushed_away_or_robbed(spent, clean):
    assert spent.clean(wall_s=1.0) is clean


def test_waiting_is_what_threads_were_ready_for_and_idle_ones_are_meant_to(tmp_path, monkeypatch):
    monkeypatch.setattr(counters, "TASKS", tmp_path)
    assert read_counters().waited_us is None
    for thread, waited_ns in (("11", 3_000_000), ("12", 4_000_000), ("13", 9_000_000)):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(f"500 {waited_ns} 7\n")
    monkeypatch.setattr(counters, "_idle_class", lambda thread: thread == 13)
    assert read_counters().waited_us == 7000


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists() or not hasattr(os, "SCHED_IDLE"),
    reason="this kernel does not count waiting",
)
def test_what_a_thread_of_the_idle_class_waits_does_not_count():
    program = """
import hashlib, os, threading, time
from pathlib import Path
from bench.worker.counters import limit_cpus, read_counters
limit_cpus(1)
def waited_us(thread):
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1]) / 1000
def work(policy, said):
    if policy is not None:
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(0))
    said.set()
    while not over:
        hashlib.sha256(bytes(1 << 22)).hexdigest()  # does not hold the interpreter's lock
for policy in (None, os.SCHED_IDLE):
    over, said = [], threading.Event()
    other = threading.Thread(target=work, args=(policy, said), daemon=True)
    other.start(); said.wait()
    main, theirs = os.getpid(), other.native_id
    both = (main, theirs) if policy is None else (main,)
    wide = sum(map(waited_us, both))
    counted = read_counters()
    narrow, before, end = sum(map(waited_us, both)), waited_us(theirs), time.monotonic() + 300
    while waited_us(theirs) - before < 200_000 and time.monotonic() < end:
        for _ in range(3):
            hashlib.sha256(bytes(1 << 22)).hexdigest()
        time.sleep(0.001)  # a wait is counted once it ends
    narrow, others = sum(map(waited_us, both)) - narrow, waited_us(theirs) - before
    counted = read_counters().since(counted).waited_us
    print(narrow, counted, sum(map(waited_us, both)) - wide, others)
    over.append(1); other.join()
    while Path(f"/proc/self/task/{theirs}").exists():
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
    )
    beside, idle = ([float(n) for n in line.split()] for line in done.stdout.splitlines())
    for narrow, counted, wide, theirs in (beside, idle):
        assert narrow - 1 <= counted <= wide + 1  # read within the one, and around the other
        assert theirs > 200_000 - 1
        assert wide - narrow < theirs  # so that its waiting, where it is not in them, would not fit


def test_what_others_took_is_all_use_of_the_cpus_without_ones_own(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    monkeypatch.setattr(counters, "STAT", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1}, raising=False)
    monkeypatch.setattr(counters.time, "process_time_ns", lambda: 30_000_000)
    stat.write_text(
        "cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 90 80 4 5 6 0 0\n"
    )
    assert read_counters().taken_us == 21 * counters.TICK_US - 30_000
    stat.write_text("cpu 9 9 9 9 9 9 9 9 0 0\n")
    assert read_counters().taken_us is None


def test_one_switch_is_allowed_in_the_shortest_block():
    assert Counters(1, 0, 0).clean(wall_s=0.001)
    assert not Counters(2, 0, 0).clean(wall_s=0.001)


def test_steal_is_the_eighth_figure_in_ticks(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 89 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    monkeypatch.setattr(counters, "STAT", stat)
    assert read_counters().steal_us == 89 * counters.TICK_US
    stat.unlink()
    assert read_counters().steal_us is None


def test_the_peak_can_be_counted_anew():
    program = """
from bench.worker.counters import peak_rss_mib, reset_peak_rss, rss_mib
held = bytearray(b"x") * (128 << 20)
high = peak_rss_mib()
del held
reset_peak_rss()
print(high, peak_rss_mib(), rss_mib())
"""
    # In a process of its own: in one that holds gigabytes, what is given back is taken again.
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
    )
    high, peak, now = map(float, done.stdout.split())
    assert peak < high - 64
    assert now <= peak


def test_cpu_pressure_is_the_total_of_the_first_line(tmp_path, monkeypatch):
    pressure = tmp_path / "cpu"
    pressure.write_text(
        "some avg10=0.10 avg60=0.37 avg300=10.73 total=389109427\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    monkeypatch.setattr(counters, "PRESSURE", pressure)
    assert read_counters().psi_us == 389109427
    pressure.unlink()
    assert read_counters().psi_us is None


def test_peak_memory_stays_when_memory_is_given_back():
    before = peak_rss_mib()
    size = int(before) + 64
    held = bytearray(b"x") * (size << 20)
    del held
    assert peak_rss_mib() >= size


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_a_process_can_be_limited_to_one_cpu():
    program = (
        "import os; from bench.worker.counters import limit_cpus\n"
        "limit_cpus(1); print(len(os.sched_getaffinity(0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
