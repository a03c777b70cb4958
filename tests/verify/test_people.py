"""GPT-2s as people have really written them, judged by their traced graphs: nothing is compiled.

Each is named after what is written in it (`models/people`). Right ones pass; wrong ones are blamed
where they are wrong, with a sentence that says what is computed there and how far that holds.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from max.dtype import DType

FOLDER = Path(__file__).parent / "models" / "people"
sys.path.insert(0, str(FOLDER))

from impl.config import GPT2Config  # noqa: E402
from reference.checkpoint import Checkpoint  # noqa: E402
from reference.dtypes import DTYPES  # noqa: E402
from reference.regimes import initial_weights, with_regime  # noqa: E402
from verify.candidate.factory import load_factory  # noqa: E402
from verify.candidate.guard import CandidateError  # noqa: E402
from verify.checks.stages import array_check  # noqa: E402
from verify.cli import main  # noqa: E402
from verify.explain.collected import Collected  # noqa: E402
from verify.explain.diagnosis import failure_at, findings  # noqa: E402
from verify.pairing.prepare import NamedCandidate, prepare  # noqa: E402
from verify.pairing.translated import held_weights  # noqa: E402
from verify.run import Plan, verify  # noqa: E402
from verify.truth.cases import probe_case, random_cases  # noqa: E402
from verify.truth.references import References  # noqa: E402

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")

CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=3, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=4)
"""A draw in which an activation is large enough to overflow `exp`: about every second one is."""

RIGHT = ("parts:right", "attentions:keys_without_bias")

CORE, NEXT = "attn.c_proj:input", "mlp.c_proj:input"

WRONG = {
    "attentions:without_biases": (
        "h.0.attn.c_attn", "x W, the bias left out in every block", "[bias_dropped]",
    ),
    "attentions:viewed": (f"h.0.{CORE}", "never transposed in every block", "[heads_viewed]"),
    "attentions:windowed": (
        f"h.1.{CORE}", "attention to the last 12 tokens alone (a window)", "[window]",
    ),
    "attentions:scaled_by_layer": (
        f"h.1.{CORE}", "1/sqrt(head_dim) / (layer + 1)",
        "in every block (in block 0 that changes nothing)",
    ),
    "attentions:scaled_by_hand": (
        f"h.0.{CORE}", "q k^T times 0.3 in every block", "1/sqrt(head_dim) = 0.353553",
    ),
    "attentions:large_fill": (f"h.0.{CORE}", "masked scores set to -1e4", "in every block"),
    "attentions:diagonal_masked": (
        f"h.0.{CORE}", "is the diagonal masked?", "the first query has no key",
    ),
    "others:erf": (f"h.0.{NEXT}", "0.5 x (1 + erf(x / sqrt(2))) in every block", "[gelu_erf]"),
    "others:other_constant": (f"h.0.{NEXT}", "with c = 0.04 in every block", "[gelu_cube]"),
    "others:post_norm": ("h.0.ln_1:input", "post-norm", "pre-norm"),
    "others:damped": (
        "h.0.ln_2:input", "what h.0 is given + 0.7 x h.0.attn", "what h.0 is given + h.0.attn",
    ),
    "others:ended": (
        "wpe:input", "positions stop at 19", "first differs at token 20: 19, not 20 (20 of 40",
    ),
    "others:begun_anew": (
        "wpe:input", "positions begin anew after 16", "first differs at token 16: 0, not 16",
    ),
    "others:rounded_softmax": (
        f"h.1.{CORE}", "the softmax's result rounded to bfloat16", "[rounded_bfloat16]",
    ),
    "others:scaled_embedding": (
        "h.0:input", "sqrt(n_embd) = 5.65685 x wte + wpe", "GPT-2 has wte + wpe",
    ),
    "others:own_norm": (
        "h.0.ln_1", "h.0.ln_1, h.0.ln_2 and ln_f: found eps = 3e-05 in every block",
        "layer_norm_epsilon = 1e-05",
    ),
    "others:other_epsilon": ("h.0.ln_1", "h.0.ln_1, h.0.ln_2 and ln_f: found eps = 1e-6", "block"),
    "others:tanh_by_exp": (
        f"h.0.{NEXT}", "NaN of", "overflows: in float32 it ends at 88.7 (others.py:",
    ),
}  # fmt: skip
"""Candidate: the place that must be blamed, and what the diagnosis must say."""

SEVERAL = {"others:post_norm", "others:tanh_by_exp"}
"""Another order of a block's parts is several causes; what overflows is right in float64."""

DEPARTS = {
    "attentions:without_biases": ("x), self.k_proj", "+ 0, and the reference adds a bias: c_attn"),
    "attentions:viewed": ("x.reshape", "the numbers of c_attn: query, in another arrangement"),
    "attentions:windowed": ("band_part(outside, num_lower=11", "mask hides key 0 of query 12"),
    "attentions:scaled_by_layer": (
        ") * self.scale(",
        "times 0.176777, and the reference has times 0.353",
    ),
    "attentions:scaled_by_hand": (
        ") * self.scale(",
        "times 0.3, and the reference has times 0.353553",
    ),
    "attentions:diagonal_masked": ("num_upper=None)", "the mask is made at attentions.py:"),
    "others:other_constant": ("0.04 * x", "times 0.04, and the reference has times 0.044715"),
    "others:post_norm": ("self.ln_1(x + self", "should be x (the block's input), and is x + attn("),
    "others:damped": ("0.7 * self.attn", "times 0.7"),
    "others:ended": ("constant(19", "positions stop at 19"),
    "others:rounded_softmax": ("F.cast(F.cast(found", "first differs: cast bfloat16 (others.py:"),
    "others:scaled_embedding": ("* self.factor", "times 5.65685"),
    "others:own_norm": ("variance + 3e-5", "+ 3e-05, and the reference has + 1e-05"),
    "others:other_epsilon": ("self.ln_1(x)", "eps 1e-06, and the reference has 1e-05"),
    "others:tanh_by_exp": ("F.exp(", "overflows: in float32 it ends at 88.7"),
    "attentions:large_fill": ("F.where(", "masked scores are -10000, and the reference has -inf"),
}
"""Candidate: the code that departs from the reference first, and what is said of it."""


def subject(spec):
    file, _, name = spec.partition(":")
    return NamedCandidate(name=spec, factory=load_factory(f"{FOLDER}/{file}.py:{name}"))


def judged(spec):
    plan = Plan(
        checkpoint=CHECKPOINT, regimes=("given",), subject=subject(spec), quick=True, power=False,
    )  # fmt: skip
    return verify(plan, emit=lambda _: None)


@pytest.fixture(scope="module")
def outcomes():
    """Each candidate is judged once."""
    known = {}

    def of(spec):
        if spec not in known:
            known[spec] = judged(spec)
        return known[spec]

    return of


@pytest.mark.parametrize("spec", RIGHT)
def test_a_right_model_passes(spec, outcomes):
    outcome = outcomes(spec)
    assert outcome.verdict == "PASS"
    assert outcome.findings == []


def test_a_bias_of_keys_that_is_left_out_is_named(outcomes):
    outcome = outcomes("attentions:keys_without_bias")
    (check,) = [check for check in outcome.checks if check.mode == "coverage"]
    assert "3 biases of keys are left out, to which softmax is blind" in check.message
    assert check.relative < 1e-12


@pytest.mark.parametrize(
    ("spec", "longest"), [("others:ended", 20), ("attentions:windowed", 12), ("parts:right", 9)]
)
def test_what_only_longer_inputs_would_show_is_said_not_to_be_seen(spec, longest):
    plan = Plan(
        checkpoint=CHECKPOINT, regimes=("given",), sizes=[(1, longest)], subject=subject(spec),
        quick=True, power=False,
    )  # fmt: skip
    outcome = verify(plan, emit=lambda _: None)
    seen = max(longest, 33)  # a probe is among the inputs of every run
    (check,) = [check for check in outcome.checks if check.mode == "coverage"]
    assert check.verdict == "SKIP"
    assert f"no input is longer than {seen} of the model's 40 tokens" in check.message
    assert outcome.verdict == ("PASS" if spec == "parts:right" else "FAIL")


@pytest.mark.parametrize("spec", WRONG)
def test_a_wrong_model_is_blamed_where_it_is_wrong_in_words(spec, outcomes):
    place, *words = WRONG[spec]
    outcome = outcomes(spec)
    divergence = outcome.first_divergence
    assert outcome.verdict == "FAIL"
    assert divergence.tap == f"transformer.{place}"
    assert [text for text in words if text not in divergence.diagnosis] == []


def test_a_window_in_some_blocks_says_which_are_right(outcomes):
    diagnosis = outcomes("attentions:windowed").first_divergence.diagnosis
    assert " in block 1" in diagnosis or "h.1." in diagnosis
    assert {f.ids for f in outcomes("attentions:windowed").findings} == {("window",)}


@pytest.mark.parametrize("spec", sorted(WRONG.keys() - SEVERAL))
def test_one_cause_accounts_for_every_failing_comparison(spec, outcomes):
    found = outcomes(spec).findings
    assert len(found) == 1
    assert found[0].stages == found[0].of


@pytest.mark.parametrize("spec", DEPARTS)
def test_the_graph_shows_the_operation_that_departs(spec, outcomes):
    code, words = DEPARTS[spec]
    listing = outcomes(spec).listing
    assert words in listing.summary
    (line,) = [line for line in listing.lines if line.departs]
    assert code in line.code
    assert line.place.startswith((f"{spec.partition(':')[0]}.py:", "parts.py:"))


def test_a_run_says_how_many_failing_comparisons_it_has_not_looked_into(tmp_path, capsys):
    options = ["--regimes", "given", "--out", str(tmp_path / "run")]
    main(["--quick", "--candidate", f"{FOLDER}/others.py:post_norm", *options])
    words = " ".join(capsys.readouterr().out.split())
    assert words.count("Also: ") == 3
    assert "further failing comparisons are not explained here." in words


def test_the_terminal_shows_what_explains_the_failures_and_the_line(tmp_path, capsys):
    file = f"{FOLDER}/attentions.py:scaled_by_hand"
    options = ["--regimes", "given", "--out", str(tmp_path / "run")]
    assert main(["--quick", "--candidate", file, *options]) == 1
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    words = " ".join(said.split())
    assert "found q k^T times 0.3 in every block" in words
    assert "This covers" in words
    assert "first differs: mul (parts.py:" in words
    assert "> mul" in words
    assert "scores = (q @ k.transpose(-2, -1)) * self.scale(int(q.shape[-1]))" in words


def test_parameters_of_another_dtype_are_refused_in_a_sentence():
    with pytest.raises(CandidateError, match="bfloat16: verify with --dtype bfloat16, or declare"):
        prepare(subject("others:in_bfloat16"), CHECKPOINT, "cpu", DType.float32)


@pytest.mark.parametrize("spec", ["others:dropping", "others:dropping_by_a_seed"])
def test_dropout_that_is_left_on_is_asked_about_with_its_line(spec):
    """A seed makes every trace the same, and the result no more that of one model."""
    with pytest.raises(CandidateError, match="a random operation") as caught:
        prepare(subject(spec), CHECKPOINT, "cpu", DType.float32)
    assert "dropout at inference?" in str(caught.value)
    (line,) = re.findall(r"\(others\.py:(\d+)\)", str(caught.value))
    source = (FOLDER / "others.py").read_text().splitlines()
    assert "F.uniform_like(found" in source[int(line) - 1]


def as_compiled(spec, case):
    """What fails of a candidate as a compiled program would show it: the graph in float32.

    Returns:
        What was expected, the forced trace, the taps that fail, and the candidate with its weights.
    """
    references = References(CHECKPOINT)
    candidate = prepare(subject(spec), CHECKPOINT, "cpu", DType.float32)
    weights = held_weights(candidate, CHECKPOINT, "float32")
    bound = candidate.evaluated(weights, "declared")
    expected = references.expectation(case, candidate.given_taps)
    given = {tap: array.astype(DTYPES["float32"]) for tap, array in expected.given.items()}
    found = bound.forced_trace(case.ids, given)
    checks = [
        array_check(case, "isolated", tap, array, expected.at(tap, alone=True), "float32")
        for tap, array in found.items()
    ]
    failed = [check.tap for check in checks if check.verdict == "FAIL"]
    return expected, found, failed, candidate, weights


def test_rounding_inside_a_stage_is_named_with_its_step():
    (case,) = random_cases(CONFIG, "given", [(2, 33)], seed=0, device="cpu")
    expected, found, failed, *_ = as_compiled("others:rounded_softmax", case)
    assert failed[0] == f"transformer.h.1.{CORE}"
    (finding,) = findings([failure_at(t, found[t], expected, list(found)) for t in failed])
    assert "the softmax's result rounded to bfloat16" in finding.text


def test_what_overflows_in_the_compiled_program_is_counted_placed_and_explained():
    case = probe_case(CONFIG, "given", seed=0, device="cpu")
    expected, found, failed, candidate, weights = as_compiled("others:tanh_by_exp", case)

    def graph(precision):
        bound = candidate.evaluated(weights, precision)
        return lambda tap: bound.computing([tap], case.ids, expected.given)

    kept = Collected()
    kept.add(failed, found, expected, list(found), graph("float64"), graph("declared"))
    (first, *_), listing = kept.explained()
    assert first.tap == f"transformer.h.0.{NEXT}"
    wrong = int(np.isnan(found[first.tap]).sum())
    assert f"{wrong:,} NaN of {found[first.tap].size:,} elements, the first at row " in first.text
    assert f" of {case.name}; exp(" in first.text
    assert "overflows: in float32 it ends at 88.7 (others.py:" in first.text
    assert listing.dtype == "float32"
    (line,) = [line for line in listing.lines if line.departs]
    assert "F.exp(" in line.code
