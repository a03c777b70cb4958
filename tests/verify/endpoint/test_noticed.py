"""Faults of a server, each behind HTTP, and the questions that notice them."""

import re
from dataclasses import replace

import pytest

from verify.endpoint.abilities import Abilities
from verify.endpoint.answering import Judge
from verify.endpoint.asking import put
from verify.endpoint.noticed import SMALL, WHERE, planted
from verify.endpoint.questions import GROUPS, Questions
from verify.endpoint.simulated import CROWD, FAULTS

REQUESTS = 2 * CROWD

SEEN = {
    "position-from-0": "log-probability of token 2",
    "page-end": "what is allowed",
    "other-row": r"token \d is .* in place of",
    "stale-prefix": "what is allowed",
    "dropped-piece": "it has 7 tokens, and 8 were due",
    "exchanged": "in place of",
    "temperature-ignored": "not the model's distribution at temperature 0.7",
    "seed-ignored": "the same question has two answers",
    "stop-ignored": "it continues after the stop token",
    "one-too-many": "it has 9 tokens, and 8 were due",
    "tempered-logprobs": "it is that of the distribution at temperature 0.5",
    "epsilon": "what is allowed",
}


def first_wrong(group):
    """Puts the cases of a group until one is wrong; returns what is."""

    async def act(endpoint, questions, judge):
        for case in questions.cases(REQUESTS):
            if case.group == group:
                found = await put(endpoint, case, judge)
                if found.wrong:
                    return found
        return None

    return act


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed_where_it_should_be(asking, fault):
    found = asking(first_wrong(WHERE[fault]), f"/{fault}")
    assert found is not None
    assert re.search(SEEN[fault], found.message())


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "text"])
def test_a_right_server_passes(asking, group):
    assert asking(first_wrong(group)) is None


def test_a_server_without_log_probabilities_is_judged_by_its_tokens(asking):
    assert asking(first_wrong("alone"), "/lacks/logprobs") is None


def test_every_fault_has_a_place_where_it_is_noticed():
    assert set(WHERE) == set(FAULTS) == set(SEEN)
    assert set(SMALL) < set(FAULTS)


def test_a_plan_without_load_does_not_claim_to_notice_what_load_shows(model, standard):
    abilities = Abilities()
    questions = Questions(standard, abilities, model.context)
    cases = [case for case in questions.cases(4) if case.group in ("alone", "load")]
    judge = Judge(standard, returns_ids=True, logprobs=True, context=model.context)
    some = ("exchanged", "seed-ignored", "page-end")
    states = {one.fault: one for one in planted(model, abilities, cases, judge, faults=some)}
    assert states["exchanged"].state == "not applicable"
    assert "more than 16 requests at once" in states["exchanged"].message
    assert states["seed-ignored"].state == "not applicable"
    assert states["page-end"].state == "caught"


def test_a_plan_that_asks_too_little_misses_a_fault(model, standard):
    """Prompts of one token and answers of one do not show where decoding goes wrong."""
    questions = Questions(standard, Abilities(), model.context)
    short = questions.asked(questions.prompt(1), 1)
    case = next(iter(questions.cases(0)))
    cases = [replace(case, asked=(short,))]
    judge = Judge(standard, returns_ids=True, logprobs=True, context=model.context)
    some = ("position-from-0", "one-too-many")
    found = planted(model, Abilities(), cases, judge, faults=some)
    states = {one.fault: one.state for one in found}
    assert states["position-from-0"] == "missed"
    assert states["one-too-many"] == "caught"
