"""Two verifications in a sentence: what broke, what was mended, what merely changed."""

import pytest

from reports.history.verify_answer import answer, is_broken, kinds_of_check
from reports.saved.records import read_run
from reports.tables.changes import changes_of
from tests.reports.conftest import TAPS, check, verification


@pytest.fixture
def said(make_run):
    """The answer on two runs of these checks."""

    def answered(first, second):
        a, b = (read_run(make_run("verify", records, {})) for records in (first, second))
        return answer(changes_of(a, b), kinds_of_check(a, b))

    return answered


ACT, LAST = "transformer.h.1.mlp.act", "lm_head"
BOTH = [check(ACT), check(LAST)]


def test_a_broken_place_is_named_with_how_much_and_what_follows(said):
    found = said(verification()[0], verification(failing=True)[0])
    assert found.verdict == "BROKEN"
    assert found.sentence == "B breaks h.1.mlp.act, which passes in A."
    assert "fails in 3 of 3 cases, and B's error is 2,000 times as large as A's" in found.lead
    after = len(TAPS) - TAPS.index(ACT) - 1
    assert f"{after} further places broke with it" in found.lead


def test_a_mended_place_is_named(said):
    found = said(verification(failing=True)[0], verification()[0])
    assert (found.verdict, found.sentence) == (
        "MENDED", "B mends h.1.mlp.act, which fails in A.",
    )  # fmt: skip
    assert "further places were mended with it" in found.lead


def test_both_are_said_and_the_graver_is_the_verdict(said):
    found = said([check(ACT), check(LAST, verdict="FAIL")], [check(ACT, verdict="FAIL"), BOTH[1]])
    assert found.verdict == "BROKEN"
    assert found.sentence == (
        "B breaks h.1.mlp.act, which passes in A, and mends lm_head, which fails in A."
    )


def test_many_places_are_counted_and_the_first_is_named(said):
    taps = TAPS[:5]
    found = said([check(t) for t in taps], [check(t, verdict="FAIL") for t in taps])
    assert found.sentence == "B breaks 5 places, wte first, which pass in A."


def test_a_place_that_fails_only_after_others_is_called_that(said):
    first = [*BOTH, check(LAST, "free")]
    found = said(first, [*BOTH, check(LAST, "free", verdict="FAIL")])
    assert "though only after other places" in found.sentence


def test_equal_runs_are_said_to_be_the_same(said):
    found = said(BOTH, BOTH)
    assert (found.verdict, found.sentence) == (
        "SAME", "Nothing changed: the error is the same number at all 2 places.",
    )  # fmt: skip


def test_what_fails_in_both_is_not_hidden(said):
    wrong = [check(ACT, verdict="FAIL"), check(LAST)]
    found = said(wrong, wrong)
    assert (found.verdict, found.lead) == ("SAME", "1 place fails in both.")


def test_changes_of_size_are_counted_and_the_largest_is_named(said):
    found = said(BOTH, [check(ACT, rms=1.5e-7), check(LAST, rms=5e-8)])
    assert found.verdict == "CHANGED"
    assert found.sentence == (
        "Nothing broke: B's error differs from A's at 2 of 2 places, most at lm_head "
        "(0.5 times as large)."
    )


def test_a_kind_of_check_that_is_no_place_can_break(make_run):
    engine = check("", "engine", shape=None)
    a, b = (read_run(make_run("verify", [*BOTH, engine | {"verdict": verdict}], {}))
            for verdict in ("PASS", "FAIL"))  # fmt: skip
    changes, kinds = changes_of(a, b), kinds_of_check(a, b)
    assert answer(changes, kinds).sentence == "No place broke, but B fails “KV-cached engine”."
    assert is_broken(changes, kinds)
    assert not is_broken(changes_of(b, a), kinds_of_check(b, a))


def test_what_b_did_not_check_is_not_broken(make_run):
    a, b = (read_run(make_run("verify", records, {}))
            for records in ([*BOTH, check("", "engine")], BOTH))  # fmt: skip
    kinds = kinds_of_check(a, b)
    assert [kind.verdict for kind in kinds] == ["same", "only A"]
    assert not is_broken(changes_of(a, b), kinds)
