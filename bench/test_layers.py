"""Single places of the model in MAX and PyTorch, time beside error: `pytest bench`.

pytest-benchmark is the front end: its options choose and sort (`pytest bench --benchmark-only -k
mlp --benchmark-sort=name`). The names are those of `python -m verify`. Every output is compared
with float64 before it is timed. All places run in one process and one after the other, which says
where a side spends its time; who is faster says `python -m bench`. `bench/conftest.py` keeps what
was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from max import tree
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.experimental.compilation import StagedGraph
from max.experimental.nn._weight_utils import _ExternalWeight, name_weights
from max.experimental.sharding.types import as_layout
from max.experimental.tensor import Tensor
from max.graph import Graph, TensorType
from max.graph import Module as Program

from bench.judge.agreement import RELATIVE_BOUND
from impl.runtime import build
from impl.weights import from_hugging_face
from reference.huggingface import load_model
from reference.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]
    Calls = Mapping[str, Callable[[Any], Any]]

TAPS = (
    "h.0.ln_1", "h.0.attn.c_attn", "h.0.attn", "h.0.ln_2", "h.0.mlp.c_fc", "h.0.mlp.act",
    "h.0.mlp.c_proj", "h.0.mlp", "h.0", "ln_f", "lm_head",
)  # fmt: skip
INNER = "h.0.mlp.act", "h.0.mlp.c_proj"
"""Places that are given what is as wide as the MLP."""

pytestmark = pytest.mark.compiles


def place_of(model: Any, tap: str) -> Any:
    """A module of either side: both carry Hugging Face's names."""
    root = model if tap == "lm_head" else model.transformer
    for part in tap.split("."):
        root = root[int(part)] if part.isdecimal() else getattr(root, part)
    return root


@pytest.fixture(scope="session")
def checkpoint(pytestconfig: pytest.Config) -> Checkpoint:
    return load(pytestconfig.getoption("--bench-model"))


@pytest.fixture(scope="session")
def states(checkpoint: Checkpoint, pytestconfig: pytest.Config) -> Mapping[str, Array]:
    """What each place is given: float32 `[batch, length, width]`, as a LayerNorm would scale it."""
    batch, length = (pytestconfig.getoption(f"--bench-{name}") for name in ("batch", "length"))
    rng, config = np.random.default_rng(0), checkpoint.config
    widths = {tap: config.inner_dim if tap in INNER else config.n_embd for tap in TAPS}
    return {tap: rng.standard_normal((batch, length, w), np.float32) for tap, w in widths.items()}


def torch_calls(checkpoint: Checkpoint, dtype: torch.dtype, length: int) -> Calls:
    model = load_model(checkpoint, dtype)
    # transformers makes the causal mask in the model; a layer called alone would have none.
    mask = torch.full((length, length), -torch.inf, dtype=dtype).triu(1)[None, None]

    def call(tap: str) -> Callable[[Any], Any]:
        place = place_of(model, tap)
        options = {"attention_mask": mask} if tap in ("h.0.attn", "h.0") else {}

        def run(x: torch.Tensor) -> Any:
            with torch.inference_mode():
                output = place(x, **options)
            return output[0] if isinstance(output, tuple) else output

        return run

    return {tap: call(tap) for tap in TAPS}


@pytest.fixture(scope="session")
def torch_places(checkpoint: Checkpoint, pytestconfig: pytest.Config) -> Calls:
    return torch_calls(checkpoint, torch.float32, pytestconfig.getoption("--bench-length"))


@pytest.fixture(scope="session")
def truth(checkpoint: Checkpoint, states: Mapping[str, Array]) -> Mapping[str, Array]:
    """What each place computes in float64."""
    length = next(iter(states.values())).shape[1]
    calls = torch_calls(checkpoint, torch.float64, length)
    return {tap: calls[tap](torch.from_numpy(states[tap]).double()).numpy() for tap in TAPS}


@pytest.fixture(scope="session")
def max_places(checkpoint: Checkpoint) -> Iterator[Calls]:
    """Every place as a graph of its own, all compiled as one program, which is far cheaper."""
    device, config = CPU(), checkpoint.config
    model = tree.map(_ExternalWeight.like, build(config, device), leaf=Tensor, shared=True)
    name_weights(model)
    program = Program()
    for tap in TAPS:
        width = config.inner_dim if tap in INNER else config.n_embd
        kind = TensorType(DType.float32, ["batch", "sequence", width], device=device)
        graph = Graph(tap, input_types=[kind], module=program)
        flat, treedef = tree.flatten(((kind,), {}), leaf=TensorType)
        StagedGraph(place_of(model, tap), graph, [as_layout(t) for t in flat], treedef)
    session = InferenceSession(devices=[device])
    weights = from_hugging_face(config, checkpoint.weights)
    models = session.init_all(session.compile(program), weights_registry=weights)
    yield {tap: models[tap].execute for tap in TAPS}
    del weights  # MAX read them in place until here


@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("side", ["max", "torch"])
def test_layer(
    benchmark: Any,
    side: str,
    tap: str,
    states: Mapping[str, Array],
    truth: Mapping[str, Array],
    max_places: Calls,
    torch_places: Calls,
) -> None:
    given, expected = states[tap], truth[tap]
    if side == "max":
        call, argument = max_places[tap], Buffer.from_numpy(given)
        found = call(argument)[0].to_numpy()
    else:
        call, argument = torch_places[tap], torch.from_numpy(given)
        found = call(argument).numpy()
    error = found.astype(np.float64) - expected
    allowed = RELATIVE_BOUND * float(np.abs(expected).max())
    assert np.abs(error).max() <= allowed
    benchmark.group = tap
    benchmark.extra_info |= {
        "tap": tap, "arm": side, "shape": list(given.shape), "allowed": allowed,
        "rms_error": float(np.sqrt((error**2).mean())), "max_error": float(np.abs(error).max()),
    }  # fmt: skip
    benchmark(call, argument)
