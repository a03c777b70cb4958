"""Products of bfloat16, in pairs and tiles, are those of NumPy's model to the last bit."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from impl.choosing.kernel_choice import form_of_cpu
from impl.choosing.tiles import refusal
from impl.packing import TERMS_HOLD, packed
from reports.saved.machine import flags_of_all
from tests.impl.kernels.test_forms import built, x86
from verify.judge.rounding import to_bf16
from verify.truth import matrix_units

HERE = Path(__file__).parent
ROWS, DEPTH, OUTPUTS, COLUMNS = 40, 320, 75, 32
FAULTS = {
    0: "",
    1: "three products instead of six",
    2: "one product instead of six",
    3: "no corrections for steps 256 to 320",
    4: "term 1 of the activations is truncated, not rounded",
    5: "numbers below 2^-126 are kept",
    6: "tiles are configured for 9 rows of 16",
}
pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def drawn():
    """Factors; `strange` has rows that three terms do not hold, `small` sums below 2^-126."""
    draws = np.random.default_rng(0)
    a = draws.normal(0, 1, (ROWS, DEPTH)).astype(np.float32)
    weight = draws.normal(0, 0.02, (OUTPUTS, DEPTH)).astype(np.float32)
    strange, small = a.copy(), a[:32].copy()
    strange[3, 7], strange[5, 0], strange[21, 300] = np.nan, np.inf, -np.inf
    strange[8, 2], strange[13] = 3.4e38, strange[13] * np.float32(1e-36)
    strange[30] = 0
    strange[31] *= np.float32(2.0**60)  # finite, and not its products with itself
    strange[32] *= np.float32(2.0**-60)
    strange[33], strange[34] = strange[33] * np.float32(2.0**50), strange[34] * np.float32(2.0**-45)
    small[3] *= np.float32(2e-37)
    return {
        "a": a, "strange": strange, "small": small, "weight": weight,
        "b": weight[:COLUMNS].T.copy(), "small_b": weight[:COLUMNS].T.copy(),
    }  # fmt: skip


def run_in(folder, drawn, *options):
    """What the program writes, by name."""
    for name, array in drawn.items():
        array.tofile(folder / name)
    for name, dtype, narrow in (
        ("float32", "float32", False),
        ("narrow-float32", "float32", True),
        ("bfloat16", "bfloat16", False),
        ("narrow-bfloat16", "bfloat16", True),
    ):
        matrix = packed([drawn["weight"]], dtype, narrow=narrow)
        matrix.words.tofile(folder / f"{name}.words")
        scale = np.broadcast_to(matrix.scale.reshape(-1), (OUTPUTS,))
        np.ascontiguousarray(scale).tofile(folder / f"{name}.scale")
        matrix.patches.tofile(folder / f"{name}.patches")
    program = built(folder / "program", *options, source=HERE / "tiles.mojo")
    subprocess.run([program, folder], check=True)
    names = [file for file in folder.iterdir() if file.suffix in (".emulated", ".real", ".vectors")]
    names += list(folder.glob("fault.*"))
    return {file.name: np.fromfile(file, np.float32) for file in names}


@pytest.fixture(scope="module")
def here(drawn, tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("tiles"), drawn)


def layer(found, name):
    return found[name].reshape(-1, OUTPUTS)


def test_pairs_add_up_as_the_model_says(here, drawn):
    expected = matrix_units.of_pairs(drawn["a"], drawn["b"])
    assert np.array_equal(here["pairs.emulated"].reshape(ROWS, COLUMNS), expected)


def test_the_instruction_for_pairs_gives_the_same_bits(here):
    if "avx512_bf16" not in flags_of_all():
        pytest.skip("this CPU has no AVX512_BF16")
    assert here["pairs.real"].tobytes() == here["pairs.emulated"].tobytes()


@pytest.mark.skipif(form_of_cpu() == "plain", reason="without FMA each product is rounded")
def test_layers_in_vectors_add_up_blocks_of_256_steps(here, drawn):
    a, b = drawn["a"], drawn["weight"].T
    assert np.array_equal(layer(here, "float32.vectors"), matrix_units.chains(a, b, 256))
    assert np.array_equal(layer(here, "pairs.vectors"), matrix_units.of_pairs(a, b, 256))


@pytest.mark.parametrize("weights", ["six", "six-narrow"])
def test_a_layer_in_tiles_is_six_products_of_the_model(here, drawn, weights):
    expected = matrix_units.six(drawn["a"], drawn["weight"].T)
    assert np.array_equal(layer(here, f"{weights}.emulated"), expected)


@pytest.mark.parametrize("weights", ["one", "one-narrow"])
def test_a_layer_of_bfloat16_is_one_product_of_the_model(here, drawn, weights):
    expected = matrix_units.tiles(to_bf16(drawn["a"]), to_bf16(drawn["weight"].T))
    assert np.array_equal(layer(here, f"{weights}.emulated"), expected)


def test_a_row_does_not_depend_on_how_many_there_are(here):
    assert np.array_equal(layer(here, "three-rows.emulated"), layer(here, "six.emulated")[:3])


def test_rows_that_three_terms_do_not_hold_are_computed_in_float32(here, drawn):
    """NaN, infinities, 3.4e38 and 1e-36 come out as float32 vectors give them."""
    found, vectors = layer(here, "strange.emulated"), layer(here, "strange.vectors")
    largest = np.abs(drawn["strange"]).max(axis=1)
    least, most = TERMS_HOLD
    in_float32 = ~((largest == 0) | (largest >= least) & (largest <= most))
    assert in_float32.sum() == 7
    assert found[in_float32].tobytes() == vectors[in_float32].tobytes()
    expected = matrix_units.six(drawn["strange"][~in_float32], drawn["weight"].T)
    assert np.array_equal(found[~in_float32], expected)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_named(here, drawn, fault):
    found = here[f"fault.{fault}"].reshape(32, COLUMNS)
    assert matrix_units.named(found, drawn["small"], drawn["small_b"]) == FAULTS[fault]


@x86
@pytest.mark.skipif(form_of_cpu() not in ("avx512", "avx2"), reason="needs a CPU with AVX2")
def test_code_for_a_cpu_without_either_unit_gives_the_same_bits(here, drawn, tmp_path):
    found = run_in(tmp_path, drawn, "--target-cpu", "x86-64-v3")
    assert not [name for name in found if name.endswith(".real")]
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in here.items() if not name.endswith(".real")
    }


def test_tiles_give_the_same_bits_as_their_emulation(here):
    if why := refusal():
        pytest.skip(why)
    same = {name for name in here if name.endswith(".real")}
    assert len(same) == 8
    for name in same - {"fault.real"}:
        assert here[name].tobytes() == here[name.replace("real", "emulated")].tobytes(), name
    assert here["fault.real"].tobytes() == here["fault.0"].tobytes()


@x86
def test_the_tiles_of_a_cpu_with_amx_are_its_instructions(tmp_path):
    """Four products for four loads in a loop, begun, ended, configured and released."""
    text = built(
        tmp_path / "tiles.s", "--target-cpu", "sapphirerapids", "--emit", "asm",
        source=HERE / "tiles.mojo",
    ).read_text()  # fmt: skip
    lines = [line.split()[0] for line in text.splitlines() if line.split()]
    first = lines.index("tdpbf16ps")
    block = lines[first - 2 : first + 6]
    assert block.count("tileloadd") == block.count("tdpbf16ps") == 4
    for name in ("tilezero", "tilestored", "ldtilecfg", "tilerelease"):
        assert name in lines
