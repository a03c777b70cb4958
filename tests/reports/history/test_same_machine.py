"""Which environments are one machine."""

import pytest

from reports.history.same_machine import machine_of

HERE = {
    "cpu": "A CPU (family 26)", "cpu_flags": "avx2 avx512f", "logical_cpus": 4, "usable_cpus": 4,
    "cgroup_cpus": None, "threads": 2, "memory_bytes": 16 * 2**30, "accelerator": None,
    "system": "Linux 6.1.0-17 x86_64",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"cpu": "A CPU (family 25)"}, {"cpu_flags": "avx2"}, {"threads": 1}, {"usable_cpus": 2},
     {"cgroup_cpus": 1.5}, {"memory_bytes": 32 * 2**30}, {"accelerator": "NVIDIA H200"},
     {"system": "Linux 6.1.0-17 aarch64"}],
)  # fmt: skip
def test_what_changes_speeds_is_another_machine(change):
    assert machine_of(HERE | change).key != machine_of(HERE).key
    assert machine_of(HERE | change).slug != machine_of(HERE).slug


@pytest.mark.parametrize(
    "change",
    [{"system": "Linux 6.9.3 x86_64"}, {"memory_bytes": 16 * 2**30 - 4096}, {"threads": [2]},
     {"commit": "abc"}, {"versions": {"max": "27"}}],
)  # fmt: skip
def test_what_an_update_changes_is_not(change):
    assert machine_of(HERE | change) == machine_of(HERE)


def test_flags_that_an_old_run_did_not_record_are_not_taken_for_todays():
    old = {key: value for key, value in HERE.items() if key != "cpu_flags"}
    assert machine_of(old).key != machine_of(HERE).key


def test_a_row_of_the_cpu_does_not_depend_on_the_gpu_beside_it():
    with_gpu = HERE | {"accelerator": "NVIDIA H200"}
    assert machine_of(with_gpu, 2, "cpu") == machine_of(HERE, 2, "cpu")
    assert "NVIDIA H200" in machine_of(with_gpu, 2, "gpu").name
