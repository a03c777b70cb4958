"""Mutants of GPT-2s, judged as candidates are."""

from dataclasses import replace

import numpy as np
import pytest

from verify.judge.acceptance import Envelope
from verify.mutants.change import Mutant, Site, Source
from verify.mutants.generate import KINDS
from verify.mutants.judging import Judge
from verify.mutants.mutation_score import Mutants, Seen


def score(subject, **more):
    found = Mutants(**more)
    for expected in subject.expected:
        found.look(expected, subject.forced)
    return found


@pytest.fixture(scope="module")
def whole(gpt2):
    return score(gpt2, every=True)


def test_every_mutant_of_impls_model_is_caught_at_its_stage(whole):
    report = whole.report()
    assert report["caught"] == report["judged"] == report["total"] > 400
    assert all(seen.best.blamed == seen.mutant.stage for seen in whole.seen.values())


def test_each_kind_is_a_check_that_says_how_many_there_are(whole):
    checks = list(whole.checks())
    assert {check.verdict for check in checks} == {"PASS"}
    assert {check.mode for check in checks} == {"math-mutants"}
    assert sum(check.details["caught"] for check in checks) == whole.report()["caught"]
    assert [check.case for check in checks] == [
        kind for kind in KINDS if kind in {check.case for check in checks}
    ]


def test_each_mutant_is_a_record(whole):
    records = list(whole.records())
    assert len(records) == whole.total
    assert {record["state"] for record in records} == {"caught"}
    assert all(record["expected"] and record["found"] and record["case"] for record in records)


def test_a_sample_is_judged_unless_all_are_asked_for(gpt2, whole):
    sampled = score(gpt2, seed=1)
    assert sampled.total == whole.total
    assert 0 < len(sampled.seen) < whole.total
    assert {s.mutant.kind for s in sampled.seen.values()} == {
        s.mutant.kind for s in whole.seen.values()
    }


@pytest.mark.parametrize(
    ("spec", "equivalent"),
    [
        ("own_names.py:MyGPT", set()),
        (
            "split_qkv.py:ForCausalLM",  # a tied head, and a head whose bias is zero
            {"wte weight 1", "lm_head weight 1", "lm_head operand 1", "lm_head operator 1"},
        ),
        (
            "list_of_blocks.py:GPT",  # mean((x - mean) x) is mean((x - mean)^2)
            {f"{norm} value {n}" for n in (8, 10)
             for norm in ("h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "h.1.ln_2", "ln_f")},
        ),
    ],
)  # fmt: skip
def test_mutants_of_any_style_are_caught_but_for_those_that_change_nothing(named, spec, equivalent):
    found = score(named(spec), every=True)
    assert {seen.mutant.id for seen in found.seen.values() if not seen.best} == equivalent
    report = found.report()
    assert report["caught"] == report["judged"] == report["total"] - len(equivalent)
    assert report["equivalent"] == len(equivalent)


def test_a_rule_that_accepts_too_much_is_underpowered(gpt2):
    expected = gpt2.expected[0]
    wide = {tap: Envelope(1e9, 1e9) for tap in expected.isolated_envelope}
    found = Mutants()
    found.look(replace(expected, isolated_envelope=wide), gpt2.forced)
    checks = list(found.checks())
    assert {check.verdict for check in checks} == {"UNDERPOWERED"}
    missed = checks[0]
    assert "not caught, such as" in missed.message
    assert "no place is rejected" in missed.message
    assert missed.details["missed"]


def test_a_mutant_that_is_blamed_elsewhere_is_not_caught(gpt2):
    """Where its own stage is judged too mildly, and a later one sees it."""
    expected = gpt2.expected[0]
    graph, taps = gpt2.forced.graph, gpt2.forced.taps
    first, second = "transformer.wpe:input", "transformer.wpe"
    wide = {**expected.isolated_envelope, first: Envelope(1e9, 1e9)}
    index = next(i for i, one in enumerate(graph.operations) if one.kind == "mo.range")
    draft = Site(Source(graph), index).draft()
    draft.result("mo.add", (draft.before(), draft.constant(1)))
    change = draft.change("position", "begins one later")
    mutant = Mutant("shifted", first, (first, second), index, graph.operations[index], change)
    seen = Seen(mutant)
    judge = Judge(replace(expected, isolated_envelope=wide), gpt2.forced)
    seen.look(judge)
    assert (seen.state, seen.best.expected, seen.best.blamed) == ("missed", first, second)
    assert set(taps) >= {first, second}


def test_mutants_of_a_stage_that_is_wrong_already_are_not_judged(gpt2):
    expected = gpt2.expected[0]
    tap = "transformer.h.0.mlp.act"
    wrong = {**expected.isolated, tap: expected.isolated[tap] + 1.0}
    found = Mutants(every=True)
    found.look(replace(expected, isolated=wrong), gpt2.forced)
    there = [seen for seen in found.seen.values() if seen.mutant.stage == tap]
    assert {seen.state for seen in there} == {"unjudged"}
    assert found.report()["unjudged"] == len(there)
    check = next(check for check in found.checks() if check.case == "activation")
    assert check.verdict == "PASS"  # in the other block
    assert check.details["unjudged"] > 0


def test_where_every_stage_is_wrong_nothing_is_judged_and_that_is_said(gpt2):
    expected = gpt2.expected[0]
    wrong = {tap: array + 1 for tap, array in expected.isolated.items()}
    found = Mutants()
    found.look(replace(expected, isolated=wrong), gpt2.forced)
    checks = list(found.checks())
    assert {check.verdict for check in checks} == {"SKIP"}
    assert {check.message for check in checks} == {"not judged: the stage is wrong already"}


def test_a_difference_is_rounding_if_it_shrinks_with_the_unit_roundoff(named):
    """mean((x - mean) x) beside an epsilon that is too small by a tenth of what float64 shows."""
    subject = named("list_of_blocks.py:GPT")
    found = score(subject, every=True)
    judge = Judge(subject.expected[0], subject.forced)
    seen = found.seen["h.0.ln_1 value 8"]
    tap = seen.mutant.stage
    judge.trial.keep([], [tap])
    judge.narrow.keep([], [tap])
    assert judge.is_rounding(seen.mutant, tap, judge.trial.mutated(seen.mutant, tap))
    original = judge.trial.original(tap)
    assert not judge.is_rounding(seen.mutant, tap, original * (1 + 1e-13))
    assert not judge.is_rounding(seen.mutant, tap, np.full_like(original, np.nan))


def test_short_cases_and_other_graphs_are_left_out(gpt2, named):
    found = Mutants()
    short = replace(gpt2.expected[0].case, ids=gpt2.expected[0].case.ids[:1, :5])
    found.look(replace(gpt2.expected[0], case=short), gpt2.forced)
    assert found.seen == {}
    found.look(gpt2.expected[0], gpt2.forced)
    before = {key: seen.judged for key, seen in found.seen.items()}
    found.look(gpt2.expected[0], named("own_names.py:MyGPT").forced)
    assert {key: seen.judged for key, seen in found.seen.items()} == before


def test_a_kind_of_which_no_input_shows_one_is_skipped(gpt2):
    found = score(gpt2)
    for seen in found.seen.values():
        if seen.mutant.kind == "cast":
            seen.best = None
    check = next(check for check in found.checks() if check.case == "cast")
    assert (check.verdict, check.message) == ("SKIP", "no input of this run shows one")
