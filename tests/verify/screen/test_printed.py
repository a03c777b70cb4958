"""A run in the terminal begins with the verdict, the map and what is not PASS."""

import io

import pytest
from rich.console import Console

from verify.judge.verdict import Check
from verify.outcome import Outcome
from verify.screen.printed import show

BLOCKS = 8
PLACES = ("ln_1", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
ORDER = [f"transformer.h.{layer}.{place}" for layer in range(BLOCKS) for place in PLACES]


def check(tap, mode="isolated", **changes):
    """A check of a place that passes."""
    figures = {"rms": 1e-7, "torch_rms": 1e-7, "envelope_rms": 1e-7, "used": 0.45}
    known = {"case": "given-2x33", "mode": mode, "tap": tap, "verdict": "PASS"}
    return Check(**known | figures | {"shape": (2, 33, 128), "device": "cpu"} | changes)


def outcome(*wrong):
    """An outcome of all places, of which some fail."""
    bad = {"verdict": "FAIL", "used": 5e4, "message": "the error is 5e+04 times what is allowed"}
    checks = [check(tap, **(bad if tap in wrong else {})) for tap in ORDER]
    skip = Check(case="gpu", mode="device", tap="", verdict="SKIP", message="no accelerator")
    return Outcome(checks=[skip, *checks], order=ORDER, compiled=True)


def said(found, width=100, **options):
    text = io.StringIO()
    show(Console(file=text, width=width), found, **options)
    return text.getvalue().splitlines()


def rows_of(lines):
    """The first column of the table of places."""
    return [line.split("│")[1].strip() for line in lines if line.startswith("│")]


def test_the_verdict_comes_first_then_the_map_then_what_is_not_passed():
    lines = said(outcome())
    assert lines[0] == "Verdict: PASS"
    assert lines[1].startswith("40 places, each alone, in 1 case: at most 45% of the allowed")
    (at,) = [n for n, line in enumerate(lines) if line.startswith("ln_1 ")]
    assert lines[at].split() == ["ln_1", *["45%"] * BLOCKS]
    where = [
        n for n, line in enumerate(lines) if line.startswith("SKIP device: gpu: no accelerator")
    ]
    assert where > [at]


def test_a_run_that_passes_has_no_table_and_says_how_to_see_all():
    lines = said(outcome())
    assert rows_of(lines) == []
    assert lines[-1] == "--table shows every place and every kind of check."
    assert len(lines) < 20


def test_with_table_every_place_and_kind_has_a_row():
    lines = said(outcome(), table=True)
    rows = rows_of(lines)
    assert rows[: len(ORDER)] == [tap.removeprefix("transformer.") for tap in ORDER]
    assert "each stage alone" in rows
    assert not any("--table" in line for line in lines)


def test_what_fails_is_shown_with_its_neighbours():
    lines = said(outcome("transformer.h.3.attn.c_proj"))
    assert lines[0] == "Verdict: FAIL"
    assert lines[1] == "1 of 40 places fails alone, in 1 case."
    assert rows_of(lines) == ["h.3.attn.c_attn", "h.3.attn.c_proj", "h.3.mlp.c_fc"]
    text = " ".join(lines)
    assert "First divergence: h.3.attn.c_proj (isolated, given-2x33)" in text
    assert text.index(">FAIL") < text.index("First divergence")


def test_the_same_place_of_several_blocks_has_one_row_and_the_rest_are_counted():
    wrong = [tap for tap in ORDER if tap.endswith("attn.c_attn")]
    lines = said(outcome(*wrong))
    assert rows_of(lines) == ["h.0.ln_1", "h.0.attn.c_attn", "h.0.attn.c_proj"]
    assert "7 further places fail: the map shows which, --table their rows." in lines


def test_rows_that_are_left_out_between_two_failing_places_are_marked():
    lines = said(outcome("transformer.h.0.ln_1", "transformer.h.6.mlp.c_fc"))
    assert rows_of(lines) == [
        "h.0.ln_1", "h.0.attn.c_attn", "...", "h.6.attn.c_proj", "h.6.mlp.c_fc", "h.6.mlp.c_proj",
    ]  # fmt: skip


def test_a_failure_of_a_whole_run_alone_shows_its_rows():
    found = outcome()
    late = "transformer.h.7.mlp.c_proj"
    found.checks += [check(tap, "free") for tap in ORDER if tap != late]
    found.checks.append(check(late, "free", verdict="FAIL", used=3.0, message="strays"))
    lines = said(found)
    assert rows_of(lines) == ["h.7.mlp.c_fc", "h.7.mlp.c_proj"]
    assert any(line.startswith("mlp.c_proj") and line.endswith("45%*") for line in lines)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_lines_of_the_map_and_sentences_fit_the_terminal(width):
    lines = said(outcome(), width)
    assert max(len(line.rstrip()) for line in lines) <= width


def test_an_outcome_without_places_has_a_verdict_and_its_reason():
    message = "the candidate holds no parameter for lm_head.weight"
    wrong = Check(case="coverage", mode="coverage", tap="lm_head", verdict="FAIL", message=message)
    lines = said(Outcome(checks=[wrong]))
    assert lines[0] == "Verdict: FAIL, not compiled"
    assert message in " ".join(lines)


def test_why_a_graph_could_not_be_judged_is_said():
    wrong = Check(case="graph", mode="math", tap="", verdict="ERROR", message="not judged: a loop")
    lines = said(Outcome(checks=[wrong]))
    assert lines[0] == "Verdict: ERROR, not compiled"
    assert "ERROR mathematics: graph: not judged: a loop" in lines
