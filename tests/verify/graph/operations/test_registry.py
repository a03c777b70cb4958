"""Every operation of the installed MAX has a meaning, or is named with the reason why not.

A new MAX shows here what it has added.
"""

import inspect
import re
from pathlib import Path

import pytest
from max._mlir.dialects import mo

from verify.graph.errors import UnknownOperationError
from verify.graph.operations import CUSTOM, MEANINGS, custom, meaning
from verify.graph.operations.refused import RANDOM, WITHOUT_MEANING, reason

STRUCTURE = {"mo.custom", "mo.graph", "mo.output", "mo.yield", "mo.while.condition"}
"""What `adapter` reads as graphs and as the ends of blocks; custom ones go by their symbols."""

KINDS = set(re.findall(r'OPERATION_NAME = "(mo\.[\w.]+)"', Path(mo.__file__).read_text()))
"""From the source: two classes of that module have the same name, so that one hides the other."""


def test_every_operation_of_max_is_known():
    known = {*MEANINGS, *RANDOM, *WITHOUT_MEANING, *STRUCTURE}
    assert {kind for kind in KINDS - known if not kind.startswith("mo.composite.")} == set()


def test_no_meaning_is_left_of_an_operation_that_max_has_no_more():
    assert {kind for kind in MEANINGS if kind.startswith("mo.")} <= KINDS
    assert {*RANDOM, *WITHOUT_MEANING} <= KINDS


def test_no_operation_has_a_meaning_and_a_reason_for_having_none():
    assert not MEANINGS.keys() & {*RANDOM, *WITHOUT_MEANING}


def test_most_operations_have_a_meaning():
    """A table that lost its entries would pass the tests above."""
    assert len(MEANINGS) > 115
    assert {"mo.add", "mo.batch_matmul", "mo.reduce.softmax", "mo.mutable.store.slice"} < {
        *MEANINGS
    }


def test_the_reason_for_having_no_meaning_is_told():
    assert reason("mo.composite.rms_norm_rope") == "is made by MAX's compiler, not by a graph"
    assert reason("mo.resize.linear") == "belongs to image models"
    assert reason("mo.foo") == ""


def test_what_the_graph_api_stages_as_custom_operations_is_known_by_symbol():
    assert {"mx.argsort", "repeat_interleave", "mo.acos"} <= {*CUSTOM}


def test_a_meaning_is_registered_by_its_kind():
    @meaning("mo.of_this_test")
    def nothing(scope):
        return None

    try:
        assert MEANINGS["mo.of_this_test"] is nothing
    finally:
        del MEANINGS["mo.of_this_test"]


def test_every_meaning_says_what_it_is():
    lambdas = {f for f in MEANINGS.values() if f.__name__ == "of_arrays"}
    assert all(inspect.getdoc(one) for one in {*MEANINGS.values()} - lambdas)


def test_a_custom_operation_is_refused_with_a_parameter_or_an_operand_that_is_not_understood():
    @custom("of_this_test", parameters=("known",))
    def nothing(scope, array):
        return array

    held = CUSTOM.pop("of_this_test")
    right = {"symbol": "of_this_test", "parameters": {"known": 1}}
    assert held(right, 2) == 2
    with pytest.raises(UnknownOperationError, match="a parameter that is not known here: other"):
        held({**right, "parameters": {"known": 1, "other": 2}}, 2)
    with pytest.raises(UnknownOperationError, match="takes 2 operands, and only the form with 1"):
        held(right, 2, 3)
