"""Single answers, right ones changed in one respect."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from verify.endpoint.abilities import Abilities
from verify.endpoint.answering import Judge
from verify.endpoint.client import Answer
from verify.endpoint.questions import Questions
from verify.endpoint.simulated import Simulated
from verify.endpoint.standard import Expected, Standard, model_of


@pytest.fixture(scope="module")
def questions(standard):
    return Questions(standard, Abilities(), standard.model.context)


@pytest.fixture(scope="module")
def judge(standard):
    return Judge(standard, returns_ids=True, logprobs=True, context=standard.model.context)


@pytest.fixture(scope="module")
def right(model, questions):
    """A question and the right answer to it."""
    asked = questions.asked(questions.prompt(17))
    answer = asyncio.run(Simulated(model.torch, model.vocabulary).ask(asked.question))
    return asked, answer


def changed(answer, **piece):
    return replace(answer, pieces=(replace(answer.pieces[0], **piece),))


def wrong(judge, asked, answer):
    return judge.judge(asked, answer).wrong


def test_a_right_answer_is_right_in_all_its_tokens(judge, right):
    found = judge.judge(*right)
    assert found.wrong is None
    assert found.tokens == 8
    assert 0 < found.used < 1


def test_another_token_is_named_with_the_expected_one_and_the_margin(judge, standard, right):
    asked, answer = right
    ids = list(answer.ids)
    ids[2] = (ids[2] + 1) % 1024
    found = wrong(judge, asked, changed(answer, ids=tuple(ids)))
    assert found.position == 2
    assert found.expected.startswith(f"{answer.ids[2]} ")
    assert found.got.startswith(f"{ids[2]} ")
    expected = standard.of([*asked.prompt, *ids[:2]], len(asked.prompt) - 1)
    assert found.margin == pytest.approx(expected.margin(2, ids[2]))
    assert "17 tokens" in found.text


def test_tokens_after_another_one_are_judged_by_what_stands_before_them(judge, right):
    """Only the first wrong token is wrong; what follows it may be right again."""
    asked, answer = right
    first = changed(answer, ids=(5, *answer.ids[1:]))
    assert wrong(judge, asked, first).position == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ids": ()}, "it has no token"),
        ({"ids": (5000,)}, "it has token 5000, and the vocabulary 1024"),
        ({"logprobs": ()}, "it has 0 log-probabilities for 8 tokens"),
        ({"finish_reason": None}, "its finish_reason is None"),
        ({"finish_reason": "stop"}, "stops after 8 tokens for no reason"),
        ({"text": "something else"}, "its text is not that of its tokens"),
    ],
)
def test_what_is_wrong_is_said(judge, right, change, told):
    asked, answer = right
    assert told in wrong(judge, asked, changed(answer, **change)).message


def test_a_log_probability_may_be_off_by_what_is_allowed_and_no_more(judge, standard, right):
    asked, answer = right
    sequence = [*asked.prompt, *answer.ids[:-1]]
    expected = standard.of(sequence, len(asked.prompt) - 1)
    exact = [float(row[one]) for row, one in zip(expected.logprobs, answer.ids, strict=True)]
    for factor, verdict in ((0.99, True), (1.01, False)):
        values = [*exact[:-1], exact[-1] + factor * float(expected.allowed[-1])]
        found = judge.judge(asked, changed(answer, logprobs=tuple(values)))
        assert (found.wrong is None) is verdict
        assert found.used == pytest.approx(factor)


def test_a_log_probability_that_is_not_a_number_is_wrong(judge, right):
    asked, answer = right
    values = (float("nan"), *answer.logprobs[1:])
    assert wrong(judge, asked, changed(answer, logprobs=values)) is not None


def test_an_alternative_that_is_none_of_the_likeliest_is_wrong(judge, right):
    asked, answer = right
    tops = ({" zzz": -0.5}, *answer.tops[1:])
    assert (
        "the alternative ' zzz' to token 1"
        in wrong(judge, asked, changed(answer, tops=tops)).message
    )


def test_one_log_probability_too_few_after_a_lost_token_is_one_token_too_few(judge, right):
    asked, answer = right
    short = changed(
        answer, ids=answer.ids[:-1], logprobs=answer.logprobs[:-1], tops=answer.tops[:-1]
    )
    assert "it has 7 tokens, and 8 were due" in wrong(judge, asked, short).message


def test_usage_is_counted(judge, right):
    asked, answer = right
    told = {"prompt_tokens": 16, "completion_tokens": 8}
    assert (
        "16 prompt_tokens, and there are 17"
        in wrong(judge, asked, replace(answer, usage=told)).message
    )
    told = {"prompt_tokens": 17, "completion_tokens": 9}
    assert "9 completion_tokens" in wrong(judge, asked, replace(answer, usage=told)).message


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(None, 0, status=500, error="oh"), "the server says 500: oh"),
        (Answer(None, 0, error="TimeoutError"), "no answer came: TimeoutError"),
        (Answer(None, 0, status=200, closed=False, error="the stream broke off"), "broke off"),
    ],
)
def test_no_answer_is_wrong_and_says_why(judge, right, answer, told):
    assert told in wrong(judge, right[0], answer).message


def test_two_tokens_nearer_than_the_precision_tells_are_a_tie():
    logprobs = np.log(np.array([[0.3, 0.3 * (1 - 1e-7), 0.2, 0.2]]))
    expected = Expected(logprobs, np.array([1e-7]))
    assert expected.tied(0, 0)
    assert expected.tied(0, 1)
    assert not expected.tied(0, 2)
    assert expected.margin(0, 1) == pytest.approx(1e-7)


class Wide(Standard):
    """A standard whose precision tells no token from another."""

    def _computed(self, ids, first):
        found = super()._computed(ids, first)
        return Expected(found.logprobs, found.allowed + 100)


def test_ties_are_counted_and_pass(model, right):
    asked, answer = right
    wide = Judge(Wide(model, "float32"), returns_ids=True, logprobs=False, context=256)
    ids = (5, *answer.ids[1:-1], 9)
    words = model.vocabulary.decode(ids)
    found = wide.judge(asked, changed(answer, ids=ids, text=words))
    assert found.wrong is None
    assert found.ties >= 1


@pytest.fixture(scope="module")
def narrow():
    return model_of("tiny", "bfloat16")


def test_a_server_in_bfloat16_is_right_in_it_and_wrong_in_float32(narrow, judge, questions):
    served = Simulated(narrow.torch, narrow.vocabulary)
    in_bfloat16 = Judge(
        Standard(narrow, "bfloat16"), returns_ids=True, logprobs=True, context=narrow.context
    )
    asked = [questions.asked(questions.prompt(length)) for length in (2, 33, 129)]
    answers = [asyncio.run(served.ask(one.question)) for one in asked]
    for one, answer in zip(asked, answers, strict=True):
        assert in_bfloat16.judge(one, answer).wrong is None
        assert judge.judge(one, answer).wrong is not None
