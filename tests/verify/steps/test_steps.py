import json
from pathlib import Path

import numpy as np
import pytest

from tests.conforming import file_misfits
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.pairing.parameters import propose
from verify.steps.component import StepError, _hint, _unseen, check_shapes
from verify.steps.course import STEPS
from verify.steps.lessons import lesson
from verify.steps.phases import PHASES, check_step
from verify.steps.plain import check_config, check_generate
from verify.steps.single import main

COMPONENTS = Path(__file__).parent / "impl_components.py"

OTHER_EPSILON = """
from max.experimental import functional as F
from max.experimental.nn import Module
from max.experimental.tensor import Tensor


class LayerNorm(Module):
    def __init__(self, dim, eps=1e-5):
        self.weight, self.bias = Tensor.ones([dim]), Tensor.zeros([dim])

    def forward(self, x):
        x = x - F.mean(x, axis=-1)
        return x * F.rsqrt(F.mean(x * x, axis=-1) + 1e-6) * self.weight + self.bias
"""


@pytest.mark.parametrize("number", [1, 12])
def test_impls_plain_parts_pass(number):
    assert all(phase.passed for phase in check_step(STEPS[number - 1], COMPONENTS))


@pytest.mark.parametrize("number", range(2, 12))
def test_impls_modules_pass_without_a_compile(number):
    phases = list(check_step(STEPS[number - 1], COMPONENTS, quick=True))
    assert [(phase.title, phase.problem) for phase in phases if not phase.passed] == []


@pytest.mark.compiles
@pytest.mark.parametrize("number", [2, 3])
def test_impls_small_modules_pass(number):
    assert all(phase.passed for phase in check_step(STEPS[number - 1], COMPONENTS))


@pytest.mark.compiles
def test_wrong_numbers_are_diagnosed(tmp_path):
    file = tmp_path / "step_03.py"
    file.write_text(OTHER_EPSILON)
    last = list(check_step(STEPS[2], file))[-1]
    assert last.title == PHASES[4]
    assert "ln_1: found eps = 1e-6; GPT-2 has" in last.problem
    assert "(step 3)" in last.hint


@pytest.mark.parametrize("number", range(3, 12))
def test_impls_modules_have_the_right_shapes(number):
    step = STEPS[number - 1]
    component = check_shapes(step, load_factory(f"{COMPONENTS}:{step.name}"))
    assert propose(component.outline, component.reference).unheld == ()


@pytest.mark.parametrize(
    ("text", "phase", "problem"),
    [
        ("1 / 0\n", 0, "raises ZeroDivisionError"),
        ("def gpt2mlp(config):\n    return 1\n", 1, "defines no GPT2MLP"),
        ("class GPT2MLP:\n    x = 1\n", 1, "a class without a base"),
        ("def GPT2MLP(config):\n    ...\n", 2, "has no body yet"),
        ("def GPT2MLP(config):\n    return 1  # TODO\n", 2, "a TODO is left in line 2"),
        ("def GPT2MLP(config):\n    return 1\n", 3, "returns an int, not a module"),
        (("from max.experimental.nn import Linear\n\n\ndef GPT2MLP(config):\n"
         "    return Linear(64, 32)\n"), 3, "returns shape [3, 5, 32], not [3, 5, 64]"),
    ],
)  # fmt: skip
def test_each_phase_says_what_is_wrong(text, phase, problem, tmp_path):
    file = tmp_path / "step_04.py"
    file.write_text(text)
    phases = list(check_step(STEPS[3], file))
    assert len(phases) == phase + 1
    assert problem in phases[-1].problem
    assert phases[-1].hint


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (lambda logits, ids: logits(ids)[:, :1].argmax(-1), "the likeliest one after position 0"),
        (lambda logits, ids: logits(ids[:, -1:]).argmax(-1), "after the last token alone"),
        (
            lambda logits, ids: logits(ids)[:1, -1:].argmax(-1).repeat(len(ids), 0),
            "new token 1 of row 1 is not the likeliest one after all before it; it is row 0's",
        ),
        (lambda logits, ids: logits(ids)[:, -1:].argmin(-1), "new token 1 is not the likeliest"),
    ],
)
def test_generation_of_another_token_is_told(chosen, problem):
    def generate(logits, ids, count):
        for _ in range(count):
            ids = np.concatenate([ids, chosen(logits, ids)], axis=1)
        return ids

    with pytest.raises(StepError, match=problem):
        check_generate(generate)


def test_generation_that_returns_no_integers_is_told():
    def generate(logits, ids, count):
        for _ in range(count):
            ids = np.concatenate([ids, logits(ids)[:, -1:].argmax(-1)], axis=1)
        return ids.astype(np.float32)

    with pytest.raises(StepError, match="returns float32, not integers"):
        check_generate(generate)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.zeros(6, np.int64), r"integers \[B, S\], not int64 \[6\]"),
        (np.zeros((1, 3)), "not float64"),
        (np.zeros((1, 49), np.int64), "1 to 48 tokens here, and was given 49"),
        (np.full((1, 3), 97), "a token id that is not in 0..96"),
    ],
)
def test_ids_that_the_model_cannot_take_are_told_in_the_learners_terms(ids, message):
    with pytest.raises(CandidateError, match=message) as caught:
        check_generate(lambda logits, *_: logits(ids))
    assert "oracle.py" not in " ".join(getattr(caught.value, "__notes__", ()))


def test_generation_that_returns_new_tokens_alone_is_told():
    with pytest.raises(StepError, match="the prompt, then the new tokens"):
        check_generate(lambda logits, ids, count: np.zeros((len(ids), count), np.int64))


def test_a_configuration_that_shares_features_unevenly_is_told():
    def make(vocab_size=50257, n_positions=1024, n_embd=768, n_layer=12, n_head=12,
             layer_norm_epsilon=1e-5):  # fmt: skip
        return type("C", (), dict(locals()))

    with pytest.raises(StepError, match="64 features are split over 5 heads"):
        check_config(make)


@pytest.mark.parametrize(
    ("checked", "tap", "hinted"),
    [
        (7, "transformer.h.0.attn.c_proj:input", 7),
        (9, "transformer.h.0.attn.c_attn", 7),
        (10, "transformer.h.1.mlp.act", 4),
        (9, "transformer.h.0", 9),
        (8, "transformer.h.0.ln_2", 8),
        (11, "transformer.ln_f", 10),
        (11, "lm_head", 11),
    ],
)
def test_a_hint_is_the_formula_of_the_smallest_step_around_a_place(checked, tap, hinted):
    assert f"{STEPS[hinted - 1].formula} (step {hinted})" == _hint(STEPS[checked - 1], tap)


def test_a_missing_mask_may_have_been_dropped_by_the_compiler():
    assert "where_mask.py" in _unseen("attn.c_proj: found no mask [mask_missing]")
    assert _unseen("attn.c_proj: found another scale [scale_missing]") == ""


def test_every_step_is_explained(capsys):
    for step in STEPS:
        assert main([str(step.number), "--explain"]) == 0
        shown = capsys.readouterr().out
        assert step.name in shown
        assert "By hand" in shown


def test_a_scaffold_never_overwrites(tmp_path, capsys):
    file = tmp_path / "mine.py"
    assert main(["7", "--scaffold", str(file)]) == 0
    assert file.read_text() == lesson(7).skeleton
    assert main(["7", "--scaffold", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["3"], "step 3 needs a file"),
        (["3", "nowhere.py"], "there is no file nowhere.py"),
        (["3", __file__, "--json", "nowhere/out.json"], "there is no folder nowhere"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_outcome_is_written_as_json(tmp_path):
    file = tmp_path / "step_12.py"
    file.write_text(lesson(12).skeleton)
    assert main(["12", str(file), "--json", str(tmp_path / "out.json")]) == 1
    report = json.loads((tmp_path / "out.json").read_text())
    assert file_misfits("step", tmp_path / "out.json") == []
    assert report["verdict"] == "FAIL"
    assert [phase["passed"] for phase in report["phases"]] == [True, True, False]
    last = report["phases"][2]
    assert "TODO 1 (the scores of the next token of each row) is open" in last["problem"]
    assert (last["task"], last["hints"][0]) == (1, last["hint"])
    assert len(last["hints"]) == 3
