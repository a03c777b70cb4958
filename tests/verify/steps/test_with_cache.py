"""Step 14: a KV cache."""

import sys

import pytest

from verify.candidate.guard import CandidateError
from verify.steps.component import StepError
from verify.steps.importable import importable
from verify.steps.lessons import lesson
from verify.steps.with_cache import check_cache

WRONG = {
    "positions begin at 0": (
        "past, past + length, out_dim", "0, length, out_dim", 1,
        "positions are counted from 0 again",
    ),
    "no mask": ("scores + mask", "scores", 7, "already the prompt, with nothing cached"),
    "everything cached, and nothing else": (
        "F.gather(whole, positions, axis=0)", "F.gather(whole, positions * 0 + past, axis=0)", 7,
        "already the prompt",
    ),
    "rows of the mask from 0": (
        "F.gather(whole, positions, axis=0)", "F.gather(whole, positions - past, axis=0)", 2,
        "attention over cached keys is wrong",
    ),
    "the last row for all": (
        "F.gather(whole, positions, axis=0)",
        "F.gather(whole, F.min(positions) + 0 * positions, axis=0) if past else whole", 7,
        "already the prompt",
    ),
    "block 0's cache": ("keys[layer]", "keys[0]", 3, "those that were cached are block 0's"),
    "new keys first": (
        "F.concat([keys, key], axis=2)", "F.concat([key, keys], axis=2)", 6,
        "the new ones stand before those that were cached",
    ),
    "exchanged": ("F.concat([values, value]", "F.concat([values, key]", 6, "the values of block 0"),
    "returned in another order": (
        "return logits, F.stack(kept_keys), F.stack(kept_values)",
        "return logits, F.stack(kept_values), F.stack(kept_keys)", 6,
        "keys and values are exchanged",
    ),
    "not kept": (
        "return attention.c_proj(attention.merge_heads(mixed)), keys, values",
        "return attention.c_proj(attention.merge_heads(mixed)), key, value", 6,
        "keys have shape [2, 2, 4, 1, 16], not [2, 2, 4, 5, 16], for 1 new tokens after 4",
    ),
    "the last norm": ("gpt2.ln_f(x) @", "x @", 4, "logits for 4 new tokens after 0 are wrong"),
    "not normalised": ("block.ln_1(x)", "x", 5, "those of the new tokens are wrong"),
    "no scale": (" / math.sqrt(attention.head_dim)", "", 7, "already the prompt"),
}  # fmt: skip


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Makes the solution's class, with some of its text replaced, in a folder of solutions."""
    folder = tmp_path_factory.mktemp("caching") / "steps"
    folder.mkdir()
    for number in range(1, 15):
        (folder / f"step_{number:02}.py").write_text(lesson(number).solution)

    def made(old="", new=""):
        text = lesson(14).solution
        assert old in text
        known = {"__name__": "learner"}
        with importable(folder / "step_14.py"):
            exec(text.replace(old, new) if old else text, known)
        return known["CachedGPT2"]

    yield made
    for name in [name for name in sys.modules if name.startswith("step_")]:
        del sys.modules[name]


def test_the_solution_passes_in_float64(cached):
    check_cache(cached(), quick=True)


@pytest.mark.compiles
def test_the_solution_passes_as_it_is_compiled(cached):
    check_cache(cached())


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_with_its_task(name, cached):
    old, new, task, said = WRONG[name]
    with pytest.raises(StepError) as caught:
        check_cache(cached(old, new), quick=True)
    assert said in str(caught.value)
    assert caught.value.task.number == task
    assert caught.value.hints[1:] == caught.value.task.hints


def test_positions_beyond_what_there_is_end_in_a_sentence(cached):
    wrong = cached("past, past + length, out_dim", "past + 1, past + length + 1, out_dim")
    with pytest.raises(
        StepError, match=r"its graph fails for 4 new tokens after 0: .*out of bounds"
    ):
        check_cache(wrong, quick=True)


def test_what_it_returns_must_be_three_tensors(cached):
    with pytest.raises(StepError, match="not three tensors"):
        check_cache(cached("return logits, F.stack(kept_keys), F.stack(kept_values)",
                           "return logits"), quick=True)  # fmt: skip


def test_a_mask_of_the_new_tokens_alone_is_the_learners_own_error(cached):
    with pytest.raises(CandidateError, match="forward"):
        check_cache(cached("causal_mask(past + length,", "causal_mask(length,"), quick=True)


def test_other_parameters_than_gpt2s_are_refused(cached):
    with pytest.raises(StepError, match="its parameters are not GPT-2's"):
        check_cache(cached("super().__init__(config)", "super().__init__(config)\n        "
                           "self.more = self.transformer.h[0].mlp.c_fc.weight + 0"),
                    quick=True)  # fmt: skip


def test_what_is_not_a_module_is_refused():
    with pytest.raises(StepError, match="not a module"):
        check_cache(lambda config: 1, quick=True)
