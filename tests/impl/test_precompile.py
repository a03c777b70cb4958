"""The kernels are built once for each source, and what cannot be built is told."""

import numpy as np
import pytest
import torch

from impl import mojo_program, precompile
from impl.choosing import kernel_choice
from impl.choosing.kernel_choice import SWITCH
from impl.engine import Engine, EngineError
from impl.packing import aligned, bfloat16_bits, packed, quantised
from impl.precompile import KernelError, kernel_library


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A package of kernels to spoil, and an empty cache."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "__init__.mojo").write_text("def one() -> Int:\n    return 1\n")
    monkeypatch.setattr(precompile, "SOURCE", folder)
    monkeypatch.setenv("MODULAR_DERIVED_PATH", str(tmp_path / "cache"))
    return folder / "__init__.mojo"


def test_a_library_is_built_once_for_each_source(source, tmp_path):
    first = kernel_library()
    built = first.stat().st_mtime_ns
    assert first.is_relative_to(tmp_path / "cache")
    assert (kernel_library(), first.stat().st_mtime_ns) == (first, built)
    source.write_text("def two() -> Int:\n    return 2\n")
    second = kernel_library()
    assert second != first
    (source.parent / "inner").mkdir()
    (source.parent / "inner" / "__init__.mojo").write_text("def three() -> Int:\n    return 3\n")
    assert kernel_library() not in {first, second}
    assert [file.suffix for file in first.parent.iterdir()] == [".mojoc"] * 3


def test_the_compilers_reason_is_told_and_nothing_is_kept(source, tmp_path):
    source.write_text("def one() -> Int:\n    return nothing\n")
    with pytest.raises(KernelError, match=r"do not build: .*unknown declaration 'nothing'"):
        kernel_library()
    assert not list((tmp_path / "cache").rglob("*.mojoc"))


def test_a_cache_that_cannot_be_written_is_told(source, tmp_path):
    (tmp_path / "cache").write_text("a file, where a folder is needed")
    with pytest.raises(KernelError, match="cannot be kept in"):
        kernel_library()


@pytest.mark.compiles
def test_without_kernels_the_engine_says_so_or_takes_stock_operations(
    checkpoint, monkeypatch, tmp_path
):
    monkeypatch.delenv(SWITCH, raising=False)
    (tmp_path / "cpuinfo").write_text("flags : avx512f\n")  # a CPU that would take the kernels
    monkeypatch.setattr(kernel_choice, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "__init__.mojo").write_text("nonsense")
    monkeypatch.setattr(precompile, "SOURCE", tmp_path)
    mojo_program._compiled.cache_clear()  # an earlier engine of this shape has its program
    with pytest.raises(EngineError, match="the kernels do not build"):
        Engine(checkpoint.config, checkpoint.weights, kernels="mojo")
    engine = Engine(checkpoint.config, checkpoint.weights)
    assert engine.kernel_path.startswith("stock MAX operations (the kernels do not build: ")
    assert engine.decode(np.array([1])).shape == (1, checkpoint.config.vocab_size)


@pytest.mark.parametrize("outputs", [1, 31, 32, 33, 70])
def test_panels_hold_32_outputs_side_by_side_and_zeros_behind_the_last(outputs):
    weight = np.arange(outputs * 5, dtype=np.float32).reshape(outputs, 5) + 1
    panels = packed([weight], "float32", narrow=False).words[0]
    assert panels.shape == (-(-outputs // 32), 5, 32)
    flat = panels.transpose(0, 2, 1).reshape(-1, 5)
    assert np.array_equal(flat[:outputs], weight)
    assert not flat[outputs:].any()


def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.14159], np.float32)
    expected = torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(bfloat16_bits(values), expected)
    draws = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    expected = torch.from_numpy(draws).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(bfloat16_bits(draws), expected)


def test_8_bits_are_off_by_half_a_step_at_most_and_clip_nothing():
    weight = np.random.default_rng(0).normal(size=(7, 50)).astype(np.float32)
    weight[3] = 0
    integers, scale = quantised(weight)
    assert np.abs(weight - integers * scale[:, None]).max() <= 0.5001 * scale.max()
    assert (np.abs(integers).max(axis=1) == [127, 127, 127, 0, 127, 127, 127]).all()


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_memory_begins_at_a_cache_line(size):
    array = aligned((size,), np.float32)
    assert array.ctypes.data % 64 == 0
    assert not array.any()
