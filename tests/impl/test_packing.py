"""Weights in the kernels' layout: narrow ones come back bit for bit, or are not narrow."""

import re
from pathlib import Path

import numpy as np
import pytest

from impl import packing
from impl.mojo_program import SLOTS, VECTOR
from impl.packing import TooWideError, packed

BASE = 112  # the first of 16 exponents, as impl/kernels/narrow.mojo has it
KERNELS = Path(packing.__file__).parent / "kernels"


def constant(file, name):
    """What a kernel's file calls `name`, as Python reads it."""
    text = (KERNELS / file).read_text()
    return eval(re.search(rf"^comptime {name} = (.*)$", text, re.MULTILINE)[1], {"W": 16})


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("tile.mojo", "W", VECTOR),
        ("linear.mojo", "PANEL", packing.PANEL),
        ("narrow.mojo", "STEPS", packing.STEPS),
        ("narrow.mojo", "FIRST_EXPONENT", packing.FIRST_EXPONENT),
        ("attention.mojo", "SLOTS", SLOTS),
    ],
)
def test_the_kernels_read_what_is_packed(file, name, expected):
    assert constant(file, name) == expected


def test_a_weight_outside_the_window_is_a_patch_as_the_example_says():
    matrix = packed([np.array([[0.75, 1.5, 0, -3]], np.float32)], "float32", narrow=True)
    assert matrix.scale == 2
    assert matrix.patches[:4].tolist() == [0, 1, 2 * packing.PANEL, 0]


def unpacked(matrix, outputs, depth):
    """Narrow words as the weights `[out, in]` that they stand for, read as the kernels do."""
    wide = matrix.dtype == "uint32"
    vectors, lanes, bits = (7, 16, 32) if wide else (3, 32, 16)
    words = matrix.words[0].reshape(*matrix.words.shape[1:3], vectors, lanes).astype(np.uint64)
    nibbles = [words[..., i, :] >> (bits - 5) & 15 for i in range(vectors)]
    spread = sum(nibble << (bits - 5 - 4 * i) for i, nibble in enumerate(nibbles))
    low, its_sign = spread >> (bits - 4) & 7, nibbles[0] & 1
    last = its_sign << (bits - 1) | spread & ((1 << (bits - 5)) - 8) | low
    short = np.concatenate([words, last[..., None, :]], axis=2)
    sign, rest = short >> (bits - 1), short & ((1 << (bits - 5)) - 1)
    number = sign << (bits - 1) | rest | BASE << (23 if wide else 7)
    values = (number << (0 if wide else 16)).astype(np.uint32).view(np.float32)
    panels, groups = values.shape[:2]
    if wide:  # two vectors for each of four inputs
        columns = values.reshape(panels, groups * 4, 32)
    else:  # column c beside column 16 + c
        columns = values.reshape(panels, groups * 4, 16, 2).swapaxes(2, 3).reshape(panels, -1, 32)
    starts, pairs = np.split(matrix.patches, [panels + 1])
    pairs = pairs.reshape(-1, 2)
    for panel in range(panels):
        for place, value in pairs[starts[panel] : starts[panel + 1]]:
            columns[panel].reshape(-1)[place] = np.int32(value).view(np.float32)
    return columns[:, :depth].swapaxes(1, 2).reshape(-1, depth)[:outputs] * matrix.scale[0][:, None]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("outputs", "depth"), [(1, 1), (32, 4), (33, 7), (70, 128)])
@pytest.mark.parametrize("size", [1e-6, 0.02, 300])
def test_narrow_weights_come_back_bit_for_bit(dtype, outputs, depth, size):
    weight = np.random.default_rng(outputs).normal(0, size, (outputs, depth)).astype(np.float32)
    if dtype == "bfloat16":
        weight = (weight.view(np.uint32) >> 16 << 16).view(np.float32)
    narrow = packed([weight], dtype, narrow=True)
    assert np.array_equal(unpacked(narrow, outputs, depth), weight)


def test_what_lies_outside_the_window_is_kept_beside():
    weight = np.random.default_rng(0).normal(0, 1, (64, 512)).astype(np.float32)
    weight[3, 7], weight[40, 500], weight[63, 511] = 0, -1e-20, 1e6
    narrow = packed([weight], "float32", narrow=True)
    assert narrow.patches[0] == 0
    assert 3 <= narrow.patches[2] < 20
    other = packed([weight * 3 + 1], "float32", narrow=True)
    assert other.patches.shape == narrow.patches.shape  # one program serves both
    assert np.array_equal(unpacked(narrow, 64, 512), weight)


def test_narrow_words_take_28_and_12_bits():
    weight = np.ones((32, 1024), np.float32)
    assert packed([weight], "float32", narrow=True).words.nbytes * 8 == 28 * weight.size
    assert packed([weight], "bfloat16", narrow=True).words.nbytes * 8 == 12 * weight.size


@pytest.mark.parametrize("spoil", [lambda w: w.__imul__(np.arange(64) % 9 > 0), None])
def test_weights_that_gain_nothing_are_refused(spoil):
    """A zero is no power of 2; and 1e-45 divided by more than 1 is no number of float32."""
    weight = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    if spoil:
        spoil(weight)
    else:
        weight[:] = 3e5
        weight[0, 0] = 1e-45
    with pytest.raises(TooWideError):
        packed([weight], "float32", narrow=True)
