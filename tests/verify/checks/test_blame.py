"""MAX or the port?

What is compiled is NumPy's evaluation here: of the candidate's own graph, as a right compiler
computes it, or of another one's, as a wrong one might.
"""

import numpy as np
import pytest
from max.dtype import DType
from max.experimental import functional as F

from impl.model import GPT2Activation, GPT2LMHeadModel
from impl.runtime import build, open_device
from impl.weights import from_hugging_face
from verify.candidate.model_graphs import trace_model
from verify.candidate.observation import Observation
from verify.checks.blame import GRAPH, Meaning, blame_invariance
from verify.checks.stages import check_case
from verify.graph.errors import GraphError
from verify.judge.verdict import Check
from verify.truth.cases import random_cases
from verify.truth.references import References

BLOCK = 3


class Erf(GPT2Activation):
    def forward(self, x):
        return F.gelu(x)


class Narrow(GPT2Activation):
    """The right activation, of numbers that were rounded to bfloat16."""

    def forward(self, x):
        return super().forward(F.cast(F.cast(x, DType.bfloat16), x.dtype))


def with_activation(activation):
    def model(config):
        made = GPT2LMHeadModel(config)
        made.transformer.h[BLOCK].mlp.act = activation()
        return made

    return model


@pytest.fixture(scope="module")
def weights(checkpoint):
    return from_hugging_face(checkpoint.config, checkpoint.weights)


@pytest.fixture(scope="module")
def traced(checkpoint):
    """Candidates that are traced and never compiled."""
    device = open_device("cpu")
    factories = {"right": GPT2LMHeadModel, "erf": with_activation(Erf)}
    factories |= {"narrow": with_activation(Narrow)}
    return {
        name: trace_model(build(checkpoint.config, device, factory=factory), device)
        for name, factory in factories.items()
    }


@pytest.fixture(scope="module")
def expected(checkpoint, traced):
    (case,) = random_cases(checkpoint.config, "given", [(1, 9)], seed=0, device="cpu")
    return References(checkpoint).expectation(case, traced["right"].given_taps)


def blamed(traced, weights, expected, *, graph, compiled, mode="isolated"):
    """Whose the first failing check is, where `compiled` is what the program computes."""
    program = traced[compiled].evaluated(weights, "declared")
    observed = Observation(program, expected)
    checks = check_case(observed, expected)
    first = next(c for c in checks if c.verdict == "FAIL" and c.mode == mode)
    return first, Meaning(traced[graph], weights).blame(first, observed, expected)


def test_another_function_in_the_graph_is_the_ports(traced, weights, expected):
    check, blame = blamed(traced, weights, expected, graph="erf", compiled="erf")
    assert check.tap == f"transformer.h.{BLOCK}.mlp.act"
    assert (blame.party, blame.sentence) == ("graph", GRAPH)


def test_a_graph_that_rounds_too_much_is_the_ports_precision(traced, weights, expected):
    _, blame = blamed(traced, weights, expected, graph="narrow", compiled="narrow")
    assert blame.party == "precision"
    assert "right in float64" in blame.sentence


def test_a_program_that_is_not_its_graph_is_the_compilers(traced, weights, expected):
    _, blame = blamed(traced, weights, expected, graph="right", compiled="erf")
    assert blame.party == "compiler"
    assert "even alone" in blame.sentence


@pytest.mark.parametrize(
    ("mode", "words"), [("free", "each stage alone is right"), ("plain", "with every place")]
)
def test_what_fails_first_tells_whether_fusing_is_the_reason(
    traced, weights, expected, mode, words
):
    _, blame = blamed(traced, weights, expected, graph="right", compiled="erf", mode=mode)
    assert blame.party == "compiler"
    assert words in blame.sentence


def test_blame_stands_among_the_details_of_the_check(traced, weights, expected):
    check, blame = blamed(traced, weights, expected, graph="erf", compiled="erf")
    told = blame.on(check)
    assert told.details == {"blame": GRAPH, "blamed_on": "graph"}


def test_a_graph_that_cannot_be_evaluated_blames_nobody(traced, weights, expected, monkeypatch):
    check, _ = blamed(traced, weights, expected, graph="erf", compiled="erf")

    class Unknown:
        def evaluated(self, weights, precision="float64", *, rounding=True):
            raise GraphError("MAX 99 has an operation this does not know: mo.foo")

    blame = Meaning(Unknown(), weights).blame(check, None, expected)
    assert blame.party is None
    assert "mo.foo" in blame.sentence


def invariance(difference):
    return Check(
        case="given-causality",
        mode="metamorphic",
        tap="lm_head",
        verdict="FAIL",
        max_abs=difference,
    )


@pytest.mark.parametrize(
    ("own", "party"), [(1e-15, "compiler"), (0.0, "compiler"), (0.3, "graph"), (None, None)]
)
def test_an_invariance_is_the_compilers_where_the_graph_keeps_it(own, party):
    assert blame_invariance(invariance(0.3), [invariance(own)]).party == party


def test_an_invariance_that_the_graph_was_not_asked_for_blames_nobody():
    assert blame_invariance(invariance(0.3), []).party is None


def test_nan_is_told_as_an_error_that_no_number_bounds(traced, weights, expected):
    right = Meaning(traced["right"], weights)
    observed = Observation(right.declared, expected)
    tap = f"transformer.h.{BLOCK}.mlp.act"
    observed.forced[tap] = np.full_like(observed.forced[tap], np.nan)
    first = next(c for c in check_case(observed, expected) if c.verdict == "FAIL")
    assert right.blame(first, observed, expected).party == "compiler"
