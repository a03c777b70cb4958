"""The file that shows a fault: whole, short, right in its half of NumPy; in MAX, it fails alone."""

import ast
import math
import subprocess
import sys

import numpy as np
import pytest
from max.dtype import DType
from max.graph import ops

from tests.verify.reduce.specimens import CPU, F32, normal, specimen_of, tensor
from verify.graph.operations import CUSTOM, custom
from verify.reduce import sizes
from verify.reduce.deviation import Deviation
from verify.reduce.edits import tidied
from verify.reduce.reproduction import (
    Story,
    alone_or_together,
    mojo_files,
    reproduction,
    tolerance,
)
from verify.reduce.search import PROVEN, Found
from verify.reduce.trials import Trial, Trials

STORY = Story(origin="Found in what h.2.attn.c_proj is given.", reason="It is wrong.")


def attention(mask_of):
    """softmax(q k^T + mask) v, on plain numbers."""

    def build(q, k, v):
        return ops.softmax(q @ ops.transpose(k, -1, -2) + mask_of(q.shape[-2])) @ v

    kind = tensor(2, "length", 4)
    specimen = specimen_of(build, [kind] * 3, [normal(2, 3, 4)] * 3)
    return sizes.plain(tidied(specimen))


def where_mask(length):
    position = ops.range(0, length, 1, out_dim=length, dtype=DType.int64, device=CPU)
    ahead = ops.unsqueeze(position, 0) > ops.unsqueeze(position, 1)
    return ops.where(ahead, ops.constant(-math.inf, F32, CPU), ops.constant(0.0, F32, CPU))


def band_part_mask(length):
    blocked = ops.broadcast_to(ops.constant(-math.inf, F32, CPU), [length, length])
    return ops.band_part(blocked, num_lower=None, num_upper=0, exclude=True)


def found(specimen, error=1.0):
    return Found(specimen, Trial(Deviation(1e6, error)))


def numpy_half(text):
    """What the file computes in NumPy, and its arrays."""
    lines = text.splitlines()
    end = next(i for i, line in enumerate(lines) if line.startswith("found = "))
    arrays = [line for line in lines if line.startswith("rng = ") or line[1:4] == " = "]
    stop = next(i for i, line in enumerate(lines) if line.startswith("error = "))
    names = {"np": np, "math": math}
    exec("\n".join([*arrays, *lines[end + 1 : stop]]), names)
    return names


def test_the_file_for_the_dropped_mask_is_short_and_python():
    text = reproduction(found(attention(where_mask)), STORY, "reduced.py")
    ast.parse(text)
    lines = text.splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 110
    assert "MAX 26" in text
    assert "verify" not in text
    assert STORY.origin in text


def test_its_half_of_numpy_is_what_the_graph_means():
    specimen = attention(where_mask)
    names = numpy_half(reproduction(found(specimen), STORY, "reduced.py"))
    np.testing.assert_allclose(names["right"], specimen.right(), rtol=1e-12)
    assert np.array_equal(names["A"], specimen.arrays[0])


@pytest.mark.parametrize("size", [4, 200])
def test_arrays_that_no_generator_draws_are_written_or_packed(size):
    specimen = specimen_of(lambda x: x * 2.0, [tensor("n")], [normal(size, seed=9)])
    text = reproduction(found(specimen), STORY, "reduced.py")
    start, end = text.index("A = "), text.index("\n\n", text.index("A = "))
    names = {"np": np}
    exec("import base64, zlib\n" + text[start:end], names)
    assert np.array_equal(names["A"], specimen.arrays[0])
    assert names["A"].dtype == np.float32


def test_bfloat16_goes_as_its_bits():
    types = [tensor("n", 4, dtype=DType.bfloat16)]
    specimen = sizes.plain(specimen_of(lambda x: x + x, types, [normal(3, 4).astype("bfloat16")]))
    text = reproduction(found(specimen), STORY, "reduced.py")
    ast.parse(text)
    assert "to_max(A)" in text
    assert "ml_dtypes" not in text
    names = numpy_half(text.replace("found = (bits", "found = 0 #"))
    assert np.array_equal(names["A"], specimen.arrays[0].astype(np.float32))


def test_weights_are_named_and_given():
    specimen = specimen_of(
        lambda x: x * ops.constant_external("h.gain", tensor(4)),
        [tensor("n", 4)],
        [normal(3, 4)],
        {"h.gain": normal(4)},
    )
    text = reproduction(found(sizes.plain(specimen)), STORY, "reduced.py")
    assert 'weights_registry={"w0": Buffer.from_numpy(W0)}' in text
    assert 'weights = {"w0": W0.astype(float)}' in text


@pytest.mark.parametrize(
    ("allowed", "error", "least", "most"),
    [(1e-7, 1.0, 1e-6, 0.1), (1e-3, 0.04, 2e-3, 2e-2), (0.0, 1.0, 1e-9, 0.1)],
)
def test_the_limit_lies_between_rounding_and_the_fault(allowed, error, least, most):
    assert least < tolerance(allowed, error) < most
    assert least < tolerance(allowed, math.inf) < 1


def test_a_kernels_source_and_meaning_stand_in_the_file(tmp_path):
    (tmp_path / "__init__.mojo").write_text("# '''one''' \\n\n")
    assert mojo_files(tmp_path) == {"__init__.mojo": "# '''one''' \\n\n"}
    assert mojo_files(tmp_path / "compiled.mojoc") == {}


@custom("tests.doubled")
def doubled(scope, x):
    return x + x


def test_the_meaning_of_a_custom_operation_is_copied():
    from verify.reduce.source import meaning_lines

    assert CUSTOM["tests.doubled"] is doubled
    assert meaning_lines("tests.doubled") == ["def doubled(scope, x):", "    return x + x"]


# ---- with MAX -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tried():
    """Both formulations of the mask, compiled in one program."""
    trials = Trials()
    both = [attention(where_mask), attention(band_part_mask)]
    return trials, both, trials.judged(both)


@pytest.mark.compiles
def test_the_dropped_mask_is_wrong_as_compiled_and_the_other_formulation_right(tried):
    _, _, (wrong, right) = tried
    assert (wrong.problem, right.problem) == ("", "")
    assert wrong.used > 1e3
    assert right.used < PROVEN


@pytest.mark.compiles
def test_each_operation_by_itself_is_right(tried):
    trials, (specimen, _), (wrong, _) = tried
    assert "right on the same numbers" in alone_or_together(Found(specimen, wrong), trials, PROVEN)


@pytest.mark.compiles
def test_the_file_fails_alone_and_passes_with_another_formulation(tried, tmp_path):
    _, (specimen, _), (wrong, _) = tried
    path = tmp_path / "reduced.py"
    text = reproduction(Found(specimen, wrong), STORY, path.name)
    path.write_text(text)
    line = next(one for one in text.splitlines() if "select1 = ops.where" in one)
    mask = (
        "    blocked = ops.constant(-np.inf, DType.float32, cpu)\n"
        '    square = ops.broadcast_to(blocked, ["length", "length"])\n'
        "    select1 = ops.band_part(square, num_upper=0, exclude=True)"
    )
    (tmp_path / "patched.py").write_text(text.replace(line, mask))
    assert run(path) == 1
    assert run(tmp_path / "patched.py") == 0


def run(path):
    """The exit code of a file that runs alone, far from this project."""
    done = subprocess.run(
        [sys.executable, path.name], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode
