"""Greedy continuations are those of transformers, and every row ends for a reason."""

from functools import partial

import numpy as np
import pytest
import torch

from impl.generate import Finish, generate, text_pieces
from impl.next_token import LastPosition
from impl.runtime import InputError, build, open_device
from impl.sampling import Sampler, SamplingError
from impl.tokenizer import Tokenizer
from reference.huggingface import load_model

GREEDY = Sampler(temperature=0)


def continued(model, prompt, count, sampler=GREEDY, **options):
    """The new tokens `[batch, steps]`, and the last step."""
    steps = list(generate(model, prompt, max_new_tokens=count, sampler=sampler, **options))
    return np.stack([step.tokens for step in steps], axis=1), steps[-1]


def their_greedy(theirs, prompt, count):
    ids = torch.from_numpy(prompt)
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        whole = theirs.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=count, pad_token_id=0
        )
    return whole[:, prompt.shape[1] :].numpy()


def prompts(checkpoint, batch, length):
    rng = np.random.default_rng(7)
    return rng.integers(0, checkpoint.config.vocab_size, (batch, length))


pytestmark = pytest.mark.compiles


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 30), (4, 8)])
def test_greedy_ids_are_those_of_transformers(checkpoint, next_token, theirs, batch, length):
    prompt = prompts(checkpoint, batch, length)
    ours, _ = continued(next_token, prompt, 24)
    assert np.array_equal(ours, their_greedy(theirs, prompt, 24))


def test_greedy_ids_of_the_shipped_model_are_those_of_transformers(tiny, tiny_next_token):
    theirs = load_model(tiny, torch.float32)
    tokenizer = Tokenizer.load(tiny.folder, model_vocab_size=tiny.config.vocab_size)
    for text in ("In the beginning God created", "And he said unto them,", "Jerusalem"):
        prompt = np.array([tokenizer.encode(text)])
        ours, _ = continued(tiny_next_token, prompt, 40)
        assert np.array_equal(ours, their_greedy(theirs, prompt, 40))
        assert len(np.unique(ours)) > 5  # random weights repeat one token, trained ones do not


def test_a_batch_is_continued_as_transformers_does(tiny, tiny_next_token):
    prompt = prompts(tiny, 4, 8)
    ours, _ = continued(tiny_next_token, prompt, 40)
    assert np.array_equal(ours, their_greedy(load_model(tiny, torch.float32), prompt, 40))
    assert len(np.unique(ours)) > 5


def test_logits_are_the_last_row_of_the_whole_models(checkpoint, next_token, compiled):
    for batch, length in ((1, 1), (3, 17), (2, checkpoint.config.n_positions)):
        ids = prompts(checkpoint, batch, length)
        logits = next_token.logits(ids)
        assert logits.shape == (batch, checkpoint.config.vocab_size)
        np.testing.assert_allclose(logits, compiled(ids)[:, -1], rtol=0, atol=1e-5)


def test_logits_are_the_callers_own(checkpoint, next_token):
    first = next_token.logits(prompts(checkpoint, 1, 3))
    kept = first.copy()
    next_token.logits(prompts(checkpoint, 1, 4))
    assert np.array_equal(first, kept)


def test_a_tied_head_is_one_parameter_also_in_the_wrapper(checkpoint):
    model = LastPosition(build(checkpoint.config, open_device("cpu"))).model
    assert model.lm_head.weight is model.transformer.wte.weight


def test_rows_of_a_batch_are_continued_as_if_alone(checkpoint, next_token):
    prompt = prompts(checkpoint, 3, 5)
    together, _ = continued(next_token, prompt, 10)
    for row in range(3):
        alone, _ = continued(next_token, prompt[row : row + 1], 10)
        assert np.array_equal(together[row], alone[0])


def test_the_same_seed_gives_the_same_tokens_and_another_gives_others(checkpoint, next_token):
    prompt = prompts(checkpoint, 2, 5)
    draw = partial(continued, next_token, prompt, 12)
    (one, _), (same, _), (other, _) = (draw(Sampler(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_tokens_come_one_at_a_time(checkpoint, next_token):
    calls = []

    class Counting:
        config = checkpoint.config

        def logits(self, ids):
            calls.append(ids.copy())
            return next_token.logits(ids)

    prompt = prompts(checkpoint, 2, 3)
    steps = generate(Counting(), prompt, max_new_tokens=5, sampler=GREEDY)
    assert calls == []
    first = next(steps)
    assert len(calls) == 1
    next(steps)
    # what a cached engine relies on: the ids of the call before, and one more column
    assert np.array_equal(calls[1], np.column_stack([calls[0], first.tokens]))


def test_max_new_tokens_ends_every_row(checkpoint, next_token):
    tokens, last = continued(next_token, prompts(checkpoint, 2, 3), 4)
    assert tokens.shape == (2, 4)
    assert last.finished == (Finish.MAX_NEW_TOKENS,) * 2


def test_a_stop_token_ends_its_row_alone(checkpoint, next_token):
    prompt = prompts(checkpoint, 2, 6)
    free, _ = continued(next_token, prompt, 8, Sampler(seed=1))
    at, stop = 3, int(free[0, 3])
    assert (free == stop).sum() == 1
    sampler = Sampler(seed=1)
    steps = list(
        generate(next_token, prompt, max_new_tokens=8, sampler=sampler, stop_tokens=[stop])
    )
    assert [step.finished[0] for step in steps] == [None] * at + [Finish.STOPPED] * (8 - at)
    assert [bool(step.live[0]) for step in steps] == [True] * (at + 1) + [False] * (7 - at)
    assert [step.tokens[0] for step in steps[at:]] == [stop] * (8 - at)
    assert [step.tokens[1] for step in steps] == free[1].tolist()
    assert steps[-1].finished[1] is Finish.MAX_NEW_TOKENS


def test_nothing_is_computed_after_every_row_has_stopped(checkpoint, next_token):
    prompt = prompts(checkpoint, 2, 6)
    stops = [int(token) for token in continued(next_token, prompt, 1)[0][:, 0]]
    tokens, last = continued(next_token, prompt, 8, stop_tokens=stops)
    assert tokens.shape == (2, 1)
    assert last.finished == (Finish.STOPPED,) * 2


@pytest.mark.parametrize("asked", [3, 4, 100])
def test_a_full_context_ends_every_row(checkpoint, next_token, asked):
    prompt = prompts(checkpoint, 2, checkpoint.config.n_positions - 3)
    tokens, last = continued(next_token, prompt, asked)
    assert tokens.shape == (2, 3)
    expected = Finish.MAX_NEW_TOKENS if asked == 3 else Finish.CONTEXT_FULL
    assert last.finished == (expected,) * 2


@pytest.mark.parametrize(
    ("length", "count", "message"),
    [
        (0, 1, "the prompt is empty"),
        (256, 1, "takes all of the model's 256 positions: there is no room for a new token"),
        (257, 1, "257 tokens are more than the model's 256 positions"),
        (3, 0, "the number of new tokens must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_done_is_told_before_the_first_step(
    checkpoint, next_token, length, count, message
):
    with pytest.raises(InputError, match=message):
        generate(next_token, prompts(checkpoint, 1, length), max_new_tokens=count, sampler=GREEDY)


def test_logits_that_are_not_finite_stop_the_generation(checkpoint):
    class Broken:
        config = checkpoint.config

        def logits(self, ids):
            return np.full((len(ids), self.config.vocab_size), np.nan, np.float32)

    steps = generate(Broken(), np.array([[1]]), max_new_tokens=3, sampler=GREEDY)
    with pytest.raises(SamplingError, match="NaN"):
        next(steps)


@pytest.mark.parametrize("stops", [0, 1])
def test_pieces_of_text_are_the_continuation_up_to_the_stop_token(
    checkpoint, next_token, tokenizer, stops
):
    prompt = prompts(checkpoint, 1, 5)
    tokens = continued(next_token, prompt, 30, Sampler(seed=1))[0][0].tolist()
    steps = generate(
        next_token,
        prompt,
        max_new_tokens=30,
        sampler=Sampler(seed=1),
        stop_tokens=tokens[10 : 10 + stops],
    )
    shown = tokens[: tokens.index(tokens[10])] if stops else tokens
    assert "".join(text_pieces(steps, tokenizer)) == tokenizer.decode(shown)
