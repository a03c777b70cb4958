"""Units beside float32 count what they compute, and none is asked of a CPU that lacks it."""

import os
import re

import pytest
from mojo.run import subprocess_run_mojo

from bench.worker import units
from bench.worker.ceilings import CeilingServer
from bench.worker.peak import SOURCE
from bench.worker.units import UNITS, UnitPeak, ask_for_tiles, first_unit, units_of
from impl.config import PRESETS
from impl.precompile import KernelError
from reports.saved.machine import all_flags

ZEN_4 = frozenset({"avx512f", "avx512_bf16", "avx512_vnni"})
SAPPHIRE_RAPIDS = ZEN_4 | {"amx_tile", "amx_bf16", "amx_int8"}
OLDER = frozenset({"avx2", "fma"})
HERE = [unit for unit in UNITS if unit.flags <= frozenset(all_flags())]
PEAK = {"ceiling": "peak", "dtype": "bfloat16", "workload": None}

PROGRAM = """\
from std.memory import alloc
from kernels.units import dots_bf16, dots_int8, tiles


def main():
    var ones = alloc[UInt8](1024, alignment=64)
    print(tiles[DType.float32](ones, 512), tiles[DType.int32](ones, 512))
    print(dots_bf16(1, 0, 512), dots_int8(1, 0, 512))
"""


def needs(unit):
    """Skip where this CPU lacks it, or Linux refuses it."""
    if unit not in HERE:
        pytest.skip(f"this CPU has no {unit.name}")
    if unit.tiles:
        try:
            ask_for_tiles()
        except KernelError as error:
            pytest.skip(str(error))


@pytest.mark.compiles
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.name}-{unit.dtype}")
def test_every_product_is_done_and_counted(unit):
    """A lane that were left out, or a chain that the compiler shortens, would show."""
    needs(unit)
    peak, cpus = UnitPeak(unit), len(os.sched_getaffinity(0))
    each = {"AVX512_BF16": 24 * 32, "AVX512_VNNI": 24 * 64}.get(unit.name)
    each = each or 6 * 16 * 16 * {"bfloat16": 32, "int8": 64}[unit.dtype]
    for parts in (1, 7):
        assert peak(parts) == 2 * parts * cpus * unit.steps * each


@pytest.mark.compiles
def test_the_loops_are_their_instructions_and_touch_no_memory(tmp_path):
    (tmp_path / "main.mojo").write_text(PROGRAM)
    where = ["-I", str(SOURCE.parent), str(tmp_path / "main.mojo"), "-o", str(tmp_path / "main.s")]
    target = ["--target-triple", "x86_64-unknown-linux-gnu", "--target-cpu", "znver4"]
    subprocess_run_mojo(
        ["build", "--emit", "asm", *target, "--target-features", "", *where],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = loops((tmp_path / "main.s").read_text())
    for name, chains in (("vdpbf16ps", 24), ("vpdpbusd", 24), ("tdpbf16ps", 6), ("tdpbssd", 6)):
        loop = max(found, key=lambda lines: sum(name in line for line in lines))
        instructions = [line for line in loop if name in line]
        assert len(instructions) == chains, name
        assert not [line for line in instructions if "(" in line], name
        assert len(loop) <= chains + 2, name  # and the steps are counted, and the loop goes on


def loops(assembly):
    """The instructions of every loop without another in it: a label, and a jump back to it."""
    label, lines, found = "", [], []
    for line in assembly.splitlines():
        if match := re.match(r"(\.L\w+):", line):
            label, lines = match[1], []
        elif re.match(r"\t[a-z]", line):
            lines.append(line)
            if label and re.match(rf"\tj\w+\s+{re.escape(label)}$", line):
                found.append(list(lines))
    return found


@pytest.mark.parametrize(
    ("flags", "dtype", "names"),
    [
        (SAPPHIRE_RAPIDS, "bfloat16", ["AMX tiles", "AVX512_BF16"]),
        (SAPPHIRE_RAPIDS, "int8", ["AMX tiles", "AVX512_VNNI"]),
        (ZEN_4, "bfloat16", ["AVX512_BF16"]),
        (ZEN_4 - {"avx512_bf16"}, "bfloat16", []),
        (OLDER, "int8", []),
    ],
)
def test_the_units_of_a_cpu_are_those_that_it_lists_the_fastest_first(flags, dtype, names):
    assert [unit.name for unit in units_of(dtype, flags)] == names


@pytest.fixture
def asked(monkeypatch):
    """The units of which a program would be made; none is."""
    made = []
    monkeypatch.setattr(units, "UnitPeak", lambda unit: made.append(unit) or unit)
    return made


def test_a_cpu_without_a_unit_is_asked_for_none_and_the_reason_names_what_was_sought(asked):
    with pytest.raises(KernelError, match="lists no unit for products of bfloat16"):
        first_unit("bfloat16", flags=OLDER)
    with pytest.raises(KernelError, match=r"\(amx_bf16 with amx_tile\)"):
        first_unit("bfloat16", tiles=True, flags=ZEN_4)
    assert asked == []


def test_where_linux_gives_no_tiles_the_next_unit_is_taken(monkeypatch):
    def made(unit):
        if unit.tiles:
            raise KernelError("Linux gives this process no tiles")
        return unit

    monkeypatch.setattr(units, "UnitPeak", made)
    assert first_unit("int8", flags=SAPPHIRE_RAPIDS).name == "AVX512_VNNI"
    with pytest.raises(KernelError, match="no tiles"):
        first_unit("bfloat16", tiles=True, flags=SAPPHIRE_RAPIDS)


def test_float32_by_six_is_a_sixth_of_the_products_of_bfloat16(monkeypatch):
    """The tiles' own program, as a server runs it, here of a unit that needs no tiles."""

    class Counting:
        unit = UNITS[0]

        def __init__(self, _):
            pass

        def __call__(self, parts):
            return 6.0 * parts

    monkeypatch.setattr(units, "UnitPeak", Counting)
    monkeypatch.setattr(units, "all_flags", lambda: sorted(SAPPHIRE_RAPIDS))
    server = CeilingServer(PRESETS["tiny"], "cpu", threads=1)
    by_six, peak = server._by_six(), server._unit_peak("bfloat16")
    assert [task.amount for task in by_six] == [task.amount / 6 for task in peak]
    assert by_six[0].what == "products of bfloat16 from registers, AMX tiles, 6 for one"


def test_a_machine_without_the_unit_has_no_such_ceiling_and_says_why(monkeypatch):
    monkeypatch.setattr(units, "all_flags", lambda: sorted(OLDER))
    server = CeilingServer(PRESETS["tiny"], "cpu", threads=1)
    for request in (PEAK, PEAK | {"dtype": "int8"}, PEAK | {"ceiling": "peak_by_six"}):
        reply = server.answer(
            request | ({"dtype": "float32"} if "six" in request["ceiling"] else {})
        )
        assert reply["rate"] is None
        assert "this CPU lists no unit for products of" in reply["what"]
