"""Machines are told apart by what the kernel shows of them."""

import json

from bench.fleet.hardware import caches, describe, flags, identity


def test_this_machine_is_described_in_json_values_and_always_by_the_same_name():
    first, second = describe(), describe()
    assert json.loads(json.dumps(first)) == first == second
    assert first["usable_cpus"] >= 1
    assert first["memory_gib"] >= 1
    assert first["accelerator"] is None


def test_a_machine_that_differs_in_anything_has_another_name():
    found = {name: value for name, value in describe().items() if name != "machine"}
    names = {identity(found)}
    names |= {identity({**found, name: "another"}) for name in found}
    assert len(names) == len(found) + 1


def test_instructions_are_those_of_x86_or_arm_that_matter(tmp_path):
    x86, arm, bare = (tmp_path / name for name in ("x86", "arm", "bare"))
    x86.write_text("processor\t: 0\nflags\t\t: fpu avx2 sse4_2 amx_int8\n\nprocessor\t: 1\n")
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd sve i8mm crc32\n")
    bare.write_text("processor\t: 0\n")
    assert flags(x86) == ["sse4_2", "avx2", "amx_int8"]
    assert flags(arm) == ["asimd", "i8mm", "sve"]
    assert flags(bare) == flags(tmp_path / "missing") == []


def test_caches_are_named_by_level_and_kind(tmp_path):
    for number, (level, kind, size) in enumerate(
        [("1", "Data", "32K"), ("1", "Instruction", "64K"), ("3", "Unified", "32768K")]
    ):
        folder = tmp_path / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    assert caches(tmp_path) == {"L1d": 32 << 10, "L1i": 64 << 10, "L3": 32 << 20}
    assert caches(tmp_path / "missing") == {}
