"""MAX's engine, replaced: packages run, and nothing is compiled."""

import inspect

import numpy as np
import pytest
from max.driver import Buffer
from max.engine import InferenceSession

from verify.graph.errors import GraphError
from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import REPLACED, as_array, evaluating
from verify.package.opening.opened import open_package

RULES = {"compile": "model", "compile_reusing_mefs": "model", "init": "compiled",
         "init_all": "compiled", "load": "model", "load_all": "model"}  # fmt: skip
"""What each of the session's methods takes first."""


@pytest.mark.parametrize("name", REPLACED)
def test_max_still_has_the_methods_that_are_replaced(name):
    parameters = list(inspect.signature(vars(InferenceSession)[name]).parameters)
    assert parameters[:2] == ["self", RULES[name]]


def test_the_methods_are_back_afterwards():
    before = {name: vars(InferenceSession)[name] for name in REPLACED}
    with evaluating():
        assert vars(InferenceSession)["load"] is not before["load"]
    assert {name: vars(InferenceSession)[name] for name in REPLACED} == before


def test_they_are_back_after_an_error_too():
    before = vars(InferenceSession)["load"]
    with pytest.raises(RuntimeError, match="of the package"), evaluating():
        raise RuntimeError("of the package")
    assert vars(InferenceSession)["load"] is before


@pytest.fixture(scope="module")
def llama(checkpoints):
    with evaluating() as engine:
        yield Requests(open_package(checkpoints("llama3"), v3=True), engine)


def test_results_are_remembered_in_float64_and_given_back_as_float32(llama):
    passed = llama.run([(llama.begin([1, 2, 3]), 3)])
    llama.end()
    assert passed.logits[0].dtype == np.float64
    held, exact = next(
        pair for pair in llama.engine.exact.values() if pair[1].shape == passed.logits[0].shape
    )
    assert as_array(held).dtype == np.float32
    np.testing.assert_array_equal(as_array(held), exact.astype(np.float32))


def test_the_cache_keeps_float64_from_one_pass_to_the_next(llama):
    llama.engine.forget()
    llama.run([(llama.begin([1, 2, 3]), 3)])
    llama.end()
    ((_, held),) = llama.engine.held.values()
    assert held.dtype == np.float64
    assert (held != held.astype(np.float32)).any()


def test_a_buffer_that_no_model_returned_is_an_error(llama):
    with pytest.raises(GraphError, match="other buffers than its graph"):
        llama.engine.result(Buffer.from_numpy(np.zeros(3, np.float32)))


def test_what_a_model_is_given_is_told_without_evaluating_it(llama):
    arrays = llama.prepared(np.array([[5, 6, 7], [8, 9, 10]]))
    assert [a.tolist() for a in arrays if a.dtype == np.int64 and len(a) == 6] == [
        [5, 6, 7, 8, 9, 10]
    ]
    assert not llama.live


def test_a_package_that_executes_nothing_is_told(llama):
    with pytest.raises(GraphError, match="executes no graph"):
        llama.engine.inputs_of(lambda: None)
