"""CPUs and accelerators that are unlike have unlike names."""

import os
from pathlib import Path

import pytest

from reports.saved.machine import (
    accelerator_model,
    cpu_flags,
    cpu_model,
    last_level_cache_bytes,
    names_in,
    nvidia_gpus,
)

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: {family}
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1

processor\t: 1
"""
ARM = """processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd0c
CPU revision\t: 1
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts a program of a name on the path, and no other."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(name, prints):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{prints}\n")
        path.chmod(0o755)

    return make


def cpuinfo(tmp_path, text):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    return path


def test_two_generations_under_one_name_are_told_apart(tmp_path):
    zen4 = cpu_model(cpuinfo(tmp_path, EPYC.format(family=25, model=17)))
    zen5 = cpu_model(cpuinfo(tmp_path, EPYC.format(family=26, model=2)))
    assert zen4 == "AMD EPYC (family 25, model 17, stepping 1)"
    assert zen5 == "AMD EPYC (family 26, model 2, stepping 1)"


def test_an_arm_core_has_the_name_that_lscpu_knows(tmp_path, tool):
    tool("lscpu", "echo 'Model name:   Neoverse-N1'")
    assert cpu_model(cpuinfo(tmp_path, ARM)) == (
        "Neoverse-N1 (implementer 0x41, part 0xd0c, revision 1)"
    )


@pytest.mark.usefixtures("tool")
def test_an_arm_core_without_lscpu_has_its_numbers(tmp_path):
    assert "implementer 0x41, part 0xd0c" in cpu_model(cpuinfo(tmp_path, ARM))


@pytest.mark.usefixtures("tool")
def test_where_nothing_is_told_the_architecture_is_the_name(tmp_path):
    assert cpu_model(tmp_path / "none") in (os.uname().machine, cpu_model(Path("/none")))


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("flags\t: fpu smep sme avx2 fma sse4_2 avx512f", "avx2 avx512f fma sse4_2"),
        ("Features\t: fp asimd crc32 sve2 asimdhp bf16", "asimd asimdhp bf16 sve2"),
        ("flags\t: fpu vme", ""),
        ("model name\t: A CPU", ""),
    ],
)
def test_flags_are_those_that_kernels_are_chosen_by(tmp_path, line, flags):
    assert cpu_flags(cpuinfo(tmp_path, f"processor\t: 0\n{line}\n")) == flags
    assert cpu_flags(tmp_path / "none") == ""


def test_gpus_are_listed_by_nvidias_tool_alone(tool):
    assert nvidia_gpus() == []
    tool("nvidia-smi", "echo '0, NVIDIA H200, 143771 MiB'")
    assert nvidia_gpus() == ["NVIDIA H200 (143771 MiB)"]
    tool("nvidia-smi", "echo 'No devices were found'; exit 6")
    assert nvidia_gpus() == []


def test_an_accelerator_has_its_makers_name(tool):
    tool("nvidia-smi", "echo '0, NVIDIA H200, 143771 MiB'; echo '1, NVIDIA A10G, 23028 MiB'")
    assert accelerator_model("gpu") == "NVIDIA H200 (143771 MiB)"
    assert accelerator_model("gpu:1") == "NVIDIA A10G (23028 MiB)"
    assert accelerator_model("gpu:7") == "gpu:7"


@pytest.mark.parametrize("says", ["exit 1", "echo 'No devices were found'"])
def test_a_tool_that_fails_leaves_the_number(tool, says):
    tool("nvidia-smi", says)
    assert accelerator_model("gpu:0") == "gpu:0"


def test_amds_list_has_a_heading_and_its_own_columns():
    text = "device,Card series,Card model,Card vendor,Card SKU\n"
    text += "card0,AMD Instinct MI300X,0x74a1,AMD,M3000100\n"
    assert names_in(text) == ["AMD Instinct MI300X, 0x74a1"]


def test_the_last_cache_is_the_largest_of_those_that_are_told(tmp_path):
    for name, size in (("index0", "32K"), ("index2", "1024K"), ("index3", "32M"), ("index4", "?")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "size").write_text(size + "\n")
    assert last_level_cache_bytes(tmp_path) == 32 << 20
    assert last_level_cache_bytes(tmp_path / "missing") == 0
