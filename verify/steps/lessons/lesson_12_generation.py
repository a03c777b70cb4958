r"""A prompt is continued, one token a step.

The model gives a score to every token as the next one. To write, take one, append it, and ask
again:

```
repeat max_new_tokens times:
    ids = ids + argmax(logits(ids)[last position])
```

Taking the likeliest each time is called greedy. It is what can be checked best, since it leaves
nothing to chance; texts for people are sampled, with a temperature. Softmax is not needed here:
it changes no order.

Position s predicts token s + 1. All S positions make a prediction in every pass, and S - 1 of
them predict what is there already: only the last is news. (In training all of them count, which
is why the mask of step 2 pays.)

By hand, with a vocabulary of three and the logits `[[0.1, 0.9, 0.3], [0.2, 0.1, 0.8]]` for a
prompt of two tokens: the last row counts, its largest number is at 2, so token 2 is appended,
and the next pass is over three tokens.

**Shapes.** ids `[B, S]`; logits `[B, S, V]`; the last position's scores `[B, V]`; one token for
each row `[B]`, made `[B, 1]` and appended along the axis of positions.

**What it costs.** The n-th new token is computed from all tokens before it, anew. For n tokens
that is about n^2 / 2 positions where n would do, if what is known already were kept: step 14
does that.

**Traps.** `logits(ids)[-1]` is the last *row of the batch*, not the last position.
`ids.append`, or `+=` on the caller's array, changes the prompt that was given. In MAX the
length is a symbol, so that one compiled graph serves every step; with fixed shapes each new
token would be compiled anew, for half a minute each. Results come back as float32 arrays; token
ids stay int64.

## Afterwards

Your model writes. All twelve steps are yours now: from six numbers in a dataclass to text.

A mistake in generation is easily mistaken for one in the model: a loop that looks at the last
token only writes in circles; the likeliest token after the *first* position repeats one word;
rows that get each other's tokens make sense in a batch of one alone. If the logits are verified
and the text is bad, look here. From here on there are two ways: serve it to others (step 13),
or make it fast (step 14).
"""

from collections.abc import Callable

import numpy as np


def generate(
    logits: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, max_new_tokens: int
) -> np.ndarray:
    """The prompt [B, S] and max_new_tokens more of each row; logits: [B, S] -> [B, S, V]."""
    for _ in range(max_new_tokens):
        # TODO 1: the scores of the next token of each row
        # calls: `logits(ids)` gives [B, S, V]; indexing `[:, -1]` takes one position of each row
        # look: at which position a model has seen all tokens so far
        # formula: scores = logits(ids)[:, S - 1]
        # thought: position s predicts token s + 1, and it is token S that is missing
        scores = logits(ids)[:, -1]  # [B, V]
        # done 1

        # TODO 2: the likeliest token of each row
        # calls: `x.argmax(axis=...)` gives the place of the largest number along an axis
        # look: along which axis the vocabulary lies
        # formula: chosen[b] = argmax over v of scores[b, v]
        # thought: softmax would not change which one is the largest, so it is not needed
        chosen = scores.argmax(axis=-1)  # [B]
        # done 2

        # TODO 3: appended to its row
        # calls: `np.concatenate([a, b], axis=...)`; `chosen[:, None]` makes [B, 1] of [B]
        # look: along which axis positions lie
        # formula: ids = ids with chosen at its end
        # thought: a new array is made, so that the caller's prompt stays as it was
        ids = np.concatenate([ids, chosen[:, None]], axis=1)  # [B, S + 1]
        # done 3
    return ids
