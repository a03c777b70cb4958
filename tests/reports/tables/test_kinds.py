"""What a kind of check comes to: figures first, then a sentence."""

import pandas as pd
import pytest

from reports.tables.frames import frame_of_checks
from reports.tables.kinds import by_kind, coverage_line, logit_figures, seen, sentences


def logits(kl, flips=0, positions=1):
    return {"details": {"kl_max": kl, "top1_flips": flips, "positions": positions}}


def test_figures_of_logits_are_over_all_cases():
    found = logit_figures([logits(1e-9, 1, 10), logits(2e-8, 0, 20)])
    assert (found.kl_max, found.flips, found.positions) == (2e-8, 1, 30)


def test_a_divergence_that_is_not_a_number_is_never_the_smaller_one():
    checks = [logits(value) for value in (1e-9, "nan")]
    assert logit_figures(checks).kl_max == float("inf")
    assert "KL at most inf" in seen("logits", checks, checks[0])


def test_without_figures_there_is_nothing_to_say():
    checks = [{"details": None}, {"details": {"diagnosis": "x"}}, {}]
    assert logit_figures(checks) is None
    assert seen("logits", checks, {}) == ""


def test_a_record_of_another_version_is_not_described():
    assert seen("greedy", [{}], {"details": {"rows": 4}}) == ""


def test_each_engine_is_told_by_what_runs_and_how_its_ways_differ():
    checks = [
        {"details": {"way": way, "path": path} | more}
        for path, apart in (("vectors", 0.0), ("tiles", 2e-7))
        for way, more in (("decode", {}), ("chunked", {"from_decode": apart}))
    ]
    assert seen("engine", checks, checks[-1]) == (
        "vectors: chunked, decode = the whole sequence; "
        "tiles: chunked, decode = the whole sequence (decoding is 2e-07 from parts)"
    )


def test_each_kind_is_counted_and_shows_its_gravest():
    base = {"case": "given-1x9", "tap": "a", "message": ""}
    checks = [
        base | {"mode": "isolated", "verdict": "PASS", "used": 0.4, "ratio": 1.5},
        base | {"mode": "isolated", "verdict": "PASS", "used": 0.2, "ratio": 2.5},
        base | {"mode": "free", "verdict": "FAIL", "used": 3.0, "message": "too far"},
    ]
    alone, free = by_kind(frame_of_checks(checks))
    assert (alone.name, alone.passed, alone.of, alone.used) == ("each stage alone", 2, 2, 0.4)
    assert alone.seen == "error over PyTorch's: 2.50 at most"
    assert (free.passed, free.verdict, free.seen) == (0, "FAIL", "a given-1x9: too far")


@pytest.mark.parametrize(
    ("excused", "line"),
    [
        ([], "Coverage: 3 of 5 places compared"),
        (["x", "x", "y"], "Coverage: 3 of 5 places compared; 2 excused: x; 1 excused: y"),
    ],
)
def test_coverage_is_a_sentence_with_every_reason(excused, line):
    coverage = {"compared": 3, "expected": 5, "excused": [{"reason": why} for why in excused]}
    assert coverage_line(coverage) == line
    assert coverage_line({}) == ""


def mutants(kind, caught, judged, equivalent, margin, unjudged=0):
    details = {
        "caught": caught, "judged": judged, "equivalent": equivalent, "unjudged": unjudged,
        "margin": margin, "weakest": margin and f"{kind} 1",
    }  # fmt: skip
    verdict = "PASS" if caught == judged else "UNDERPOWERED"
    message = "" if caught == judged else "1 not caught, such as this one"
    check = {"mode": "math-mutants", "case": kind, "tap": "", "used": None}
    return check | {"verdict": verdict, "message": message, "details": details}


def test_mutants_are_counted_over_all_kinds():
    checks = [mutants("mask", 20, 20, 1, 350.0), mutants("cast", 193, 193, 10, "inf")]
    (kind,) = by_kind(frame_of_checks(checks))
    assert (kind.name, kind.passed, kind.of, kind.verdict) == ("… mutants", 2, 2, "PASS")
    assert kind.seen.startswith("213 of 213 mutants caught, 11 equivalent; weakest margin")
    assert kind.seen.endswith("(mask 1)")


def test_mutants_of_wrong_stages_are_not_judged_and_those_not_caught_are_named():
    checks = [mutants("mask", 20, 20, 1, 350.0, unjudged=4), mutants("cast", 0, 0, 2, None)]
    (kind,) = by_kind(frame_of_checks(checks))
    assert "20 of 20 mutants caught, 3 equivalent, 4 not judged; weakest" in kind.seen
    (kind,) = by_kind(frame_of_checks([*checks, mutants("norm", 1, 2, 0, 1.5)]))
    assert (kind.passed, kind.verdict) == (2, "UNDERPOWERED")
    assert "1 not caught, such as this one" in kind.seen


def test_each_sentence_about_a_package_that_fails_is_listed_with_its_kind():
    rows = [
        {"mode": "preflight", "tap": "model.py:4", "verdict": "FAIL", "message": "no such name"},
        {"mode": "checkpoint", "tap": "head.weight", "verdict": "FAIL", "message": "unread"},
        {"mode": "configuration", "tap": "eps", "verdict": "PASS", "message": "followed"},
        {"mode": "math", "tap": "lm_head", "verdict": "FAIL", "message": "the error is large"},
    ]  # fmt: skip
    assert sentences(pd.DataFrame(rows)) == [
        ("preflight", "no such name"),
        ("weights both ways", "head.weight: unread"),
    ]


@pytest.mark.parametrize(("mode", "words"), [
    ("checkpoint", "every tensor is read"), ("preflight", "it fits the MAX"),
    ("configuration", "is followed, or refused"),
])  # fmt: skip
def test_what_is_right_of_a_package_is_said_once(mode, words):
    check = {"case": "a", "tap": "b", "verdict": "PASS", "message": "filled from b"}
    assert words in seen(mode, [check], check)
