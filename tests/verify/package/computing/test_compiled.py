"""A package as MAX compiles it, asked what its graph was asked."""

import pytest

from reference.decoder import in_float64, load_decoder
from verify.package.computing.compiled import Compiled, compiled_checks
from verify.package.computing.served import SCENARIOS
from verify.package.opening.driven import Requests
from verify.package.opening.opened import open_package

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def llama(checkpoints):
    folder = checkpoints("llama3")
    model = load_decoder(str(folder))
    return open_package(folder, v3=True), model, in_float64(model)


def test_the_compiled_package_is_right_as_it_is_served(llama):
    opened, model, oracle = llama
    checks = list(compiled_checks(opened, model, oracle, longest=512, seed=0))
    assert [(c.case, c.mode, c.verdict) for c in checks] == [
        (scenario.name, "served", "PASS") for scenario in SCENARIOS
    ]
    assert max(c.used for c in checks) < 1


def test_what_is_wrong_by_a_thousandth_is_noticed(llama, checkpoints):
    """The package is compared with a model of which one norm is larger by that."""
    opened, _, _ = llama
    other = load_decoder(str(checkpoints("llama3")))
    other.model.layers[1].input_layernorm.weight.data *= 1 + 1e-3
    checks = list(compiled_checks(opened, other, in_float64(other), longest=512, seed=0))
    assert {c.verdict for c in checks} == {"FAIL"}


def test_what_a_compiled_graph_is_given_is_not_asked(llama):
    opened, _, _ = llama
    requests = Requests(opened, Compiled())
    with pytest.raises(NotImplementedError):
        requests.engine.inputs_of(lambda: None)
