"""Counters are read from the operating system, and are missing rather than wrong."""

import os
import subprocess
import sys

import pytest

from bench import counters
from bench.counters import Counters, peak_rss_mib, read_counters


def test_only_what_was_added_counts():
    assert Counters(5, 700).since(Counters(3, 500)) == Counters(2, 200)
    assert Counters(5, None).since(Counters(3, 500)).cpu_pressure_us is None


def test_cpu_pressure_is_the_total_of_the_first_line(tmp_path, monkeypatch):
    pressure = tmp_path / "cpu"
    pressure.write_text(
        "some avg10=0.10 avg60=0.37 avg300=10.73 total=389109427\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    monkeypatch.setattr(counters, "PRESSURE", pressure)
    assert read_counters().cpu_pressure_us == 389109427
    pressure.unlink()
    assert read_counters().cpu_pressure_us is None


def test_peak_memory_stays_when_memory_is_given_back():
    before = peak_rss_mib()
    size = int(before) + 64
    held = bytearray(b"x") * (size << 20)
    del held
    assert peak_rss_mib() >= size


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_a_process_can_be_limited_to_one_cpu():
    program = (
        "import os; from bench.counters import limit_cpus\n"
        "limit_cpus(1); print(len(os.sched_getaffinity(0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
