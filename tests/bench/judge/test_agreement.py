"""Outputs that were timed must be right: gross errors never pass, rounding always does."""

import re

import numpy as np
import pytest

from bench.judge.agreement import RELATIVE_BOUND, compare_logits, compare_tokens, tokens_problem


@pytest.fixture
def logits():
    return np.random.default_rng(0).standard_normal((2, 3, 11)).astype(np.float32)


def bound(logits):
    """What the referee allows in float32."""
    return float(RELATIVE_BOUND * np.abs(logits).max())


def test_equal_logits_and_rounding_errors_agree(logits):
    assert compare_logits(logits, logits, bound(logits)).agreed
    assert compare_logits(logits * np.float32(1 + 1e-6), logits, bound(logits)).agreed


def test_the_bound_is_relative_to_the_largest_logit(logits):
    scale = np.abs(logits).max()
    for share, agreed in ((0.9, True), (1.1, False)):
        wrong = logits.astype(np.float64)
        wrong[1, 2, 3] += share * RELATIVE_BOUND * scale
        assert compare_logits(wrong, logits, bound(logits)).agreed is agreed


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.where(x == x[0, 0, 0], np.nan, x),
        lambda x: np.where(x == x[0, 0, 0], np.inf, x),
        lambda x: x[:, :2],
        lambda x: x[:1],
        lambda x: x[0],
        lambda x: x[::-1],
        lambda x: np.zeros_like(x),
    ],
    ids=["nan", "inf", "shorter", "fewer rows", "no batch", "rows swapped", "zeros"],
)
def test_wrong_logits_do_not_agree(logits, spoil):
    agreement = compare_logits(spoil(logits), logits, bound(logits))
    assert not agreement.agreed
    assert agreement.message


def test_greedy_tokens_agree(logits):
    agreement = compare_tokens(logits.argmax(-1), 3, logits, bound(logits))
    assert agreement.agreed
    assert agreement.difference == 0


def test_one_wrong_token_does_not_agree(logits):
    tokens = logits.argmax(-1)
    tokens[1, 2] = logits[1, 2].argmin()
    agreement = compare_tokens(tokens, 3, logits, bound(logits))
    assert not agreement.agreed
    assert "below the best" in agreement.message


def test_a_tie_may_be_decided_either_way(logits):
    tokens = logits.argmax(-1)
    best, second = logits[0, 0].argsort()[[-1, -2]]
    logits[0, 0, second] = logits[0, 0, best] - 1e-5
    tokens[0, 0] = second
    assert compare_tokens(tokens, 3, logits, bound(logits)).agreed


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (np.zeros((2, 2), np.int64), r"\[2, 2\] new tokens, expected \[2, 3\]"),
        (np.zeros((2, 3), np.float32), "dtype"),
        (np.full((2, 3), -1), "outside"),
        (np.full((2, 3), 11), "outside"),
    ],
)
def test_what_cannot_be_tokens_is_said(tokens, problem, logits):
    assert not compare_tokens(tokens, 3, logits, bound(logits)).agreed
    assert re.search(problem, tokens_problem(tokens, (2, 3), 11))
