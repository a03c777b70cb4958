"""What is seen of modules however they are called: traced, and nothing is compiled."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from max.dtype import DType
from max.experimental.nn import Linear, Module
from max.experimental.tensor import Tensor
from max.graph import Module as Program
from max.graph import TensorType

from impl.config import GPT2Config
from impl.runtime import build, input_type, open_device
from verify.candidate.calls import Paths, paths_of, watching
from verify.candidate.staging import stage_tapped, weightless

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "forms"))

import called
import own_names

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)


def seen(factory, types=None):
    """The taps of a model, with their shapes."""
    device = open_device("cpu")
    model = weightless(build(CONFIG, device, factory=factory))
    types = types or [input_type(device)]
    found = stage_tapped("seen", model, types, paths_of(model), Program(), "result")
    return {tap: [str(dim) for dim in kind.shape] for tap, kind in found.items()}


def rows():
    return [TensorType(DType.float32, ["rows", CONFIG.n_embd], device=open_device("cpu"))]


def test_modules_with_a_call_of_their_own_are_seen_like_those_with_a_forward():
    own = list(seen(own_names.MyGPT).values())
    assert list(seen(called.Called).values()) == own
    assert len(own) == 2 * (3 + 2 * 9) + 1  # three modules and nine a block, in and out; the result


def test_a_module_that_is_called_by_its_forward_is_seen():
    taps = seen(called.Forwarded)
    places = ("tokens", "positions", "blocks.1.norm_1", "blocks.1.mlp.up", "norm")
    assert [place for place in places if place not in taps] == []
    assert "blocks.1" not in taps


def test_a_call_that_its_parent_answers_is_one_call():
    taps = seen(called.ErfCalled)
    assert "blocks.0.mlp" in taps
    assert not any("#2" in tap for tap in taps)


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@pytest.mark.parametrize("kind", [tuple, list, Pair._make])
def test_of_several_results_the_first_is_seen_and_the_kind_is_kept(kind):
    class Inner(Module):
        def __init__(self, config):
            self.layer = Linear(config.n_embd, config.n_embd)

        def forward(self, x):
            return kind([self.layer(x), x])

    class Outer(Module):
        def __init__(self, config):
            self.inner = Inner(config)

        def forward(self, x):
            pair = self.inner(x)
            assert type(pair) is type(kind([1, 2]))
            return pair[0] + pair[1]

    assert "inner" in seen(Outer, rows())


def test_watching_ends_with_its_context():
    model = called.Called(CONFIG)
    originals = {kind: vars(kind)["__call__"] for kind in (Module, called.Block)}
    with watching(paths_of(model), lambda _, value: value):
        assert all(vars(kind)["__call__"] is not was for kind, was in originals.items())
    assert all(vars(kind)["__call__"] is was for kind, was in originals.items())
    with pytest.raises(KeyError), watching(Paths({}), lambda _, value: value):
        raise KeyError
    assert Module.__call__ is originals[Module]
