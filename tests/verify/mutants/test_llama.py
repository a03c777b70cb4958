"""A proof of power for an architecture without a catalogue of faults."""

import pytest

from verify.mutants.mutation_score import Mutants


@pytest.fixture(scope="module")
def found(llama):
    score = Mutants(every=True)
    for graph, expected in llama.expectations("Llama"):
        score.look(expected, graph)
    return score


def test_every_mutant_that_changes_anything_is_caught_at_its_stage(found):
    report = found.report()
    assert report["caught"] == report["judged"] > 1000
    assert report["missed"] == report["unjudged"] == 0
    assert {check.verdict for check in found.checks()} == {"PASS"}


def test_what_is_equivalent_is_so_by_mathematics(found):
    """Rotary embeddings see distances alone; MAX adds a bias of zero where there is none."""
    silent = [seen.mutant for seen in found.seen.values() if seen.state == "equivalent"]
    assert {mutant.change.found for mutant in silent} == {
        "begins one later", "begins one earlier", "the constant 0 left out", "sub in its place",
    }  # fmt: skip
    shifted = [s for s in found.seen.values() if s.mutant.change.found.startswith("begins one")]
    assert {seen.differs for seen in shifted} == {"rounding"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("grouping", "merged in the other order"),  # a head group for another
        ("table", "to the power of"),  # another rope base
        ("order", "take turns"),  # halves for pairs
        ("mask", "-10000 in place of -inf"),
        ("number", "in place of 1e-06"),
    ],
)
def test_what_a_llama_is_got_wrong_by_is_among_them(found, kind, words):
    alike = [
        s for s in found.seen.values() if s.mutant.kind == kind and words in s.mutant.change.found
    ]
    assert alike
    assert {seen.state for seen in alike} == {"caught"}
