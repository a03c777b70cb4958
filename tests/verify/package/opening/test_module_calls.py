"""The modules of packages of both kinds are seen while MAX traces them."""

import pytest
from max.experimental.nn import Module
from max.graph import Graph
from max.nn import layer

from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.module_calls import watching_stages
from verify.package.opening.opened import open_package


@pytest.fixture(scope="module", params=[False, True], ids=["V2", "V3"])
def model(request, checkpoints):
    with evaluating() as engine:
        opened = open_package(checkpoints("llama3"), v3=request.param)
        yield Requests(opened, engine).model


def paths(model):
    return {stage.path.removeprefix("language_model.") for stage in model.stages.calls}


def test_every_module_of_a_block_is_seen_under_its_path(model):
    block = {f"layers.1{part}" for part in (
        "", ".input_layernorm", ".self_attn", ".self_attn.o_proj", ".post_attention_layernorm",
        ".mlp", ".mlp.down_proj",
    )}  # fmt: skip
    assert block <= paths(model)


def test_a_module_that_is_called_twice_has_two_names(model):
    assert {"norm", "norm#2"} <= paths(model)


def test_what_a_module_takes_is_its_activations_and_not_its_number(model):
    """A block of V3 is called with its number first."""
    block = next(s for s in model.stages.calls if s.path.endswith("layers.1"))
    taken = model.graph.values()[model.graph.outputs[block.takes]]
    assert taken.dtype == "float32"
    assert taken.shape[1] == 64


def test_stages_come_after_the_outputs_of_the_graph_itself(model):
    positions = [s.gives for s in model.stages.calls if s.gives is not None]
    assert min(positions) >= model.stages.returned == 3


def test_nothing_is_watched_afterwards():
    before = Module.__call__, Graph.output, list(layer.layer._LAYER_HOOKS)
    with watching_stages():
        assert Graph.output is not before[1]
    assert (Module.__call__, Graph.output, list(layer.layer._LAYER_HOOKS)) == before
