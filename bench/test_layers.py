"""Single layers of MAX and PyTorch under pytest-benchmark: `pytest bench --benchmark-enable`.

For looking at one layer while working on it. All layers run in one process and one after the other,
so that these figures say nothing about which side is faster: `python -m bench` does. Each output is
compared with PyTorch's before it is timed; under plain pytest nothing is timed.
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

from bench.agreement import RELATIVE_BOUND
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

LENGTH = 16
LAYERS = ("ln_1", "attn", "mlp", "block", "lm_head")

pytestmark = pytest.mark.compiles


def layer_of(model: Any, name: str) -> Any:
    """A layer of either side: both carry Hugging Face's names."""
    block = model.transformer.h[0]
    return {"block": block, "lm_head": model.lm_head}.get(name) or getattr(block, name)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return load("random:tiny")


@pytest.fixture(scope="session")
def states(checkpoint: Checkpoint) -> Array:
    """A residual stream: float32 `[1, LENGTH, n_embd]`."""
    shape = 1, LENGTH, checkpoint.config.n_embd
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.fixture(scope="session")
def torch_layers(checkpoint: Checkpoint) -> Calls:
    model = load_model(checkpoint, torch.float32)
    # transformers makes the causal mask in the model; a layer called alone would have none.
    mask = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)[None, None]  # [1, 1, query, key]

    def call(name: str) -> Callable[[Any], Any]:
        layer = layer_of(model, name)
        options = {"attention_mask": mask} if name in ("attn", "block") else {}

        def run(x: torch.Tensor) -> Any:
            with torch.inference_mode():
                output = layer(x, **options)
            return output[0] if isinstance(output, tuple) else output

        return run

    return {name: call(name) for name in LAYERS}


@pytest.fixture(scope="session")
def max_layers(checkpoint: Checkpoint) -> Iterator[Calls]:
    """Every layer as a graph of its own, all compiled as one program, which is far cheaper."""
    device, config = CPU(), checkpoint.config
    model = tree.map(_ExternalWeight.like, build(config, device), leaf=Tensor, shared=True)
    name_weights(model)
    kind = TensorType(DType.float32, ["batch", "sequence", config.n_embd], device=device)
    program = Program()
    for name in LAYERS:
        graph = Graph(name, input_types=[kind], module=program)
        flat, treedef = tree.flatten(((kind,), {}), leaf=TensorType)
        StagedGraph(layer_of(model, name), graph, [as_layout(t) for t in flat], treedef)
    session = InferenceSession(devices=[device])
    weights = from_hugging_face(config, checkpoint.weights)
    models = session.init_all(session.compile(program), weights_registry=weights)
    yield {name: models[name].execute for name in LAYERS}
    del weights  # MAX read them in place until here


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("side", ["max", "torch"])
def test_layer(
    benchmark: Any, side: str, name: str, states: Array, max_layers: Calls, torch_layers: Calls
) -> None:
    expected = torch_layers[name](torch.from_numpy(states)).numpy()
    benchmark.group = name
    if side == "torch":
        benchmark(torch_layers[name], torch.from_numpy(states))
        return
    buffer = Buffer.from_numpy(states)
    (found,) = max_layers[name](buffer)
    assert np.abs(found.to_numpy() - expected).max() <= RELATIVE_BOUND * np.abs(expected).max()
    benchmark(max_layers[name], buffer)
