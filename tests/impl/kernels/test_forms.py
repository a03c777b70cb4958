"""Every form of the Mojo kernels gives the same bits: on this CPU, and compiled for others."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

from impl.choosing.kernel_choice import FORMS, form_of_cpu
from impl.packing import held_state, packed

HERE = Path(__file__).parent
IMPL = HERE.parents[2] / "impl"
DEPTH, COLUMNS, ROWS, HEAD = 70, 75, 530, 64
FULL = 2 * 47 * 3 * 3 * HEAD
WEIGHTS = {
    "float32": ("float32", False),
    "narrow-float32": ("float32", True),
    "bfloat16": ("bfloat16", False),
    "narrow-bfloat16": ("bfloat16", True),
    "int8": ("int8", False),
}
x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a CPU of x86-64")
pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What the program reads: weights as they are packed, and activations."""
    folder = tmp_path_factory.mktemp("forms")
    draws = np.random.default_rng(0)
    weight = draws.normal(0, 0.02, (COLUMNS, DEPTH)).astype(np.float32)
    weight[3, 5], weight[70, 69], weight[40, 31] = 0, 3e5, 1e-20  # outside of any window
    weight[2, 8:12] = weight[20, 9] = 0  # and several in the same four steps
    for name, (dtype, narrow) in WEIGHTS.items():
        matrix = packed([weight], dtype, narrow=narrow)
        matrix.words.tofile(folder / f"{name}.words")
        scale = np.broadcast_to(matrix.scale.reshape(-1), (COLUMNS,))
        np.ascontiguousarray(scale).tofile(folder / f"{name}.scale")
        matrix.patches.tofile(folder / f"{name}.patches")
    for name, size in {
        "x": ROWS * DEPTH, "gamma": DEPTH, "beta": DEPTH, "bias": COLUMNS, "qkv": FULL,
    }.items():  # fmt: skip
        draws.normal(0, 1, size).astype(np.float32).tofile(folder / name)
    qkv = np.fromfile(folder / "qkv", np.float32).reshape(-1, 3, 3 * HEAD)
    qkv[:, 1:] = held_state({"keys and values": qkv[:, 1:]}, "bfloat16")["keys and values"]
    qkv.tofile(folder / "rounded")
    return folder


def built(to, *options, source=HERE / "forms.mojo"):
    """A program, for a CPU that `options` name; this one by default."""
    from mojo.run import subprocess_run_mojo

    command = ["build", "-I", str(IMPL), *options, str(source), "-o", str(to)]
    done = subprocess_run_mojo(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return to


def told(program, folder):
    """Whether products are fused; by (what, rows, form) a hash, and whether it is the first's."""
    done = subprocess.run([program, folder], capture_output=True, text=True, check=True)
    fma, *lines = [line.split() for line in done.stdout.splitlines()]
    found = {tuple(line[:3]): (line[3], line[4] == "same") for line in lines}
    in_vectors = {str(number) for name, number in FORMS.items() if not name.startswith("tiles")}
    assert {form for _, _, form in found} == in_vectors
    return fma[1] == "yes", found


@pytest.fixture(scope="module")
def here(data):
    return told(built(data / "here"), data)


def test_all_forms_give_the_same_bits_here(here):
    _, found = here
    assert len(found) == 4 * (9 * 13 + 6 * 5)
    assert not [place for place, (_, same) in found.items() if not same]


@pytest.mark.parametrize("name", ["float32", "bfloat16", "bfloat16.pairs"])
def test_narrow_weights_give_what_plain_ones_do(here, name):
    _, found = here
    plain = {place[1:]: bits for place, (bits, _) in found.items() if place[0] == name}
    narrow = {place[1:]: bits for place, (bits, _) in found.items() if place[0] == f"narrow-{name}"}
    assert len(plain) == 4 * 13
    assert narrow == plain  # name, rows and form


def test_a_cache_of_bfloat16_holds_the_nearest_keys_and_values(here):
    """Of numbers that are rounded already it is as good as one of float32."""
    _, found = here

    def of(what):
        return {place[1:]: bits for place, (bits, _) in found.items() if place[0] == what}

    rounded = of("attention.rounded.64")
    assert len(rounded) == 4 * 5
    assert rounded == of("attention.qkv.64.bfloat16") == of("attention.rounded.64.bfloat16")
    assert set(rounded.values()).isdisjoint(of("attention.qkv.64").values())


@x86
@pytest.mark.skipif(form_of_cpu() not in ("avx512", "avx2"), reason="needs a CPU with AVX2")
def test_code_for_a_cpu_with_avx2_alone_gives_the_same_bits(here, data):
    """With its instructions and 16 registers, whatever this CPU has."""
    fma, found = told(built(data / "avx2", "--target-cpu", "x86-64-v3"), data)
    assert fma
    assert not [place for place, (_, same) in found.items() if not same]
    linear = {place: told for place, told in found.items() if place[0] in WEIGHTS}
    assert linear == {place: here[1][place] for place in linear}


@x86
def test_a_cpu_without_fused_multiply_adds_rounds_each_product(here, data):
    """Then the forms agree among themselves, and with nobody else."""
    fma, found = told(built(data / "plain", "--target-cpu", "x86-64-v2"), data)
    assert not fma
    assert not [place for place, (_, same) in found.items() if not same]
    fused_here, others = here
    alike = found["float32", "1", "4"][0] == others["float32", "1", "4"][0]
    assert alike is not fused_here


def test_the_kernels_compile_for_an_arm_cpu(data):
    """And a tile of the form for it stays in its registers: none goes to the stack in its loop."""
    target = ("--target-triple", "aarch64-unknown-linux-gnu", "--target-cpu", "neoverse-n1")
    text = built(data / "arm.s", *target, "--emit", "asm").read_text()
    loops = [body for body in innermost_loops(text.splitlines()) if body.count("fmla") == 24]
    assert loops  # 6 rows x 16 columns, in vectors of 4
    assert any("[sp" not in body for body in loops)


def innermost_loops(lines):
    """The text between a label and the first jump back to it."""
    labels = {
        line[:-1]: i for i, line in enumerate(lines) if line.startswith(".L") and line[-1:] == ":"
    }
    for i, line in enumerate(lines):
        words = line.split()
        if words and words[0].startswith(("b.", "cb", "tb")) and labels.get(words[-1], i) < i:
            body = "\n".join(lines[labels[words[-1]] : i])
            if ".L" not in body.partition(":")[2]:
                yield body
