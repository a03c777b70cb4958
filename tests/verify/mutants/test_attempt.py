"""A part of a mutated graph computes what the whole one does."""

import numpy as np
import pytest

from verify.graph.evaluate import evaluate
from verify.mutants.attempt import Cutter, Trial
from verify.mutants.generate import mutants


@pytest.fixture(scope="module")
def trial(gpt2):
    case = gpt2.expected[0]
    cutter = Cutter(gpt2.forced)
    return cutter, Trial(gpt2.forced, cutter, case.case.ids, case.given)


def test_a_part_computes_at_its_tap_what_the_whole_mutated_graph_computes(gpt2, trial):
    cutter, part = trial
    forced, case = gpt2.forced, gpt2.expected[0]
    inputs = forced.inputs(case.case.ids, case.given)
    for mutant in mutants(forced.graph, forced.taps, forced.given)[::5]:
        whole = cutter.with_rounding(mutant.applied_to(forced.graph))
        results = evaluate(whole, inputs, forced.weights).outputs
        found = dict(zip(whole.outputs, results, strict=True))
        for tap in mutant.reached:
            expected = forced.read(tap, [found[n] for n in forced.taps[tap]], case.case.ids)
            assert np.array_equal(part.mutated(mutant, tap), expected, equal_nan=True), mutant.id


def test_a_part_is_short(gpt2, trial):
    """In a forced graph what follows a change ends with its stage."""
    cutter, _ = trial
    graph = gpt2.forced.graph
    found = mutants(graph, gpt2.forced.taps, gpt2.forced.given)
    sizes = [len(cutter.cut(mutant, mutant.stage).graph.operations) for mutant in found]
    assert max(sizes) < len(graph.operations) / 4


def test_taps_that_an_operation_does_not_reach_stay_as_they_are(gpt2, trial):
    """Also where one is shown: nothing but the change differs."""
    _, part = trial
    part.keep([], gpt2.forced.taps)
    case = gpt2.expected[0]
    own = gpt2.candidate.evaluated(gpt2.forced.weights.arrays).forced_trace(
        case.case.ids, case.given
    )
    assert all(np.array_equal(part.original(tap), own[tap]) for tap in gpt2.forced.taps)


def test_the_declared_precision_is_evaluated_too(gpt2, trial):
    cutter, part = trial
    case = gpt2.expected[0]
    narrow = Trial(gpt2.forced, cutter, case.case.ids, case.given, "declared")
    tap = "transformer.h.0.mlp.c_fc"
    narrow.keep([], [tap])
    part.keep([], [tap])
    assert narrow.original(tap).dtype == np.float32
    assert np.allclose(narrow.original(tap), part.original(tap), rtol=1e-4, atol=1e-5)
