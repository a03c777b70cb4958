# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 4. Self-attention from scratch
#
# After this chapter you have written causal self-attention in NumPy, forwards and backwards, have
# compared both with PyTorch, and have computed one head of a trained GPT-2 that gives the same
# numbers as this project's reference. You also know why a mask must act before the softmax.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch

from impl.tokenizer import Tokenizer
from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

rng = np.random.default_rng(4)

# %% [markdown]
# ## One sequence asks itself
#
# In [chapter 2](ch02_attention.py) queries, keys and values were given. In **self-attention** all
# three are made of the same sequence $X$, one row $x_i$ for each position, by three learned
# matrices:
#
# $$
# Q = X W_q, \qquad K = X W_k, \qquad V = X W_v
# $$
#
# The query of a position says what it looks for, its key says what it has, and its value is what it
# hands over. Here is the plainest way to write it, one position after the other:


# %%
def softmax(scores):
    """Over the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def self_attention_by_position(x, W_q, W_k, W_v):
    """x [n, e], weights [e, d]: the result [n, d]."""
    rows = []
    for x_i in x:
        q = x_i @ W_q  # [d]
        scores = [q @ (x_j @ W_k) / np.sqrt(len(q)) for x_j in x]
        weights = softmax(np.array(scores))
        rows.append(sum(w * (x_j @ W_v) for w, x_j in zip(weights, x, strict=True)))
    return np.array(rows)


# %% [markdown]
# And here is the same in matrices. Each line is one of the products above, for all positions at
# once.


# %%
def self_attention(x, W_q, W_k, W_v):
    """x [n, e], weights [e, d]: the result [n, d]."""
    query, key, value = x @ W_q, x @ W_k, x @ W_v  # [n, d] each
    scores = query @ key.T / np.sqrt(query.shape[-1])  # [n, n]: a row for each query
    return softmax(scores) @ value


n, e, d = 6, 10, 8
x = rng.normal(size=(n, e))
W_q, W_k, W_v = rng.normal(size=(3, e, d)) / np.sqrt(e)
by_position = self_attention_by_position(x, W_q, W_k, W_v)
np.testing.assert_allclose(self_attention(x, W_q, W_k, W_v), by_position, rtol=0, atol=1e-14)

# %% [markdown]
# ## No look ahead
#
# GPT-2 learns to predict the next token at every position at once. If position 3 could look at
# position 4, it would read the answer. So a query may weigh only the keys at and before it: the
# scores of all others become $-\infty$, and $\exp(-\infty) = 0$. That is the **causal mask**.


# %%
def causal_mask(n):
    """[n, n]: 0 where key <= query, and -inf where the key lies ahead."""
    return np.where(np.tri(n, dtype=bool), 0.0, -np.inf)


def causal_self_attention(x, W_q, W_k, W_v):
    """x [n, e], weights [e, d]: the result [n, d], and the weights [n, n]."""
    query, key, value = x @ W_q, x @ W_k, x @ W_v
    scores = query @ key.T / np.sqrt(query.shape[-1])
    weights = softmax(scores + causal_mask(len(x)))
    return weights @ value, weights


print(causal_mask(4))

# %% [markdown]
# PyTorch computes the same function:

# %%
ours, weights = causal_self_attention(x, W_q, W_k, W_v)
theirs = torch.nn.functional.scaled_dot_product_attention(
    *(torch.from_numpy(x @ W) for W in (W_q, W_k, W_v)), is_causal=True
)
np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-14)
assert np.allclose(weights.sum(axis=-1), 1)
assert np.allclose(ours[0], x[0] @ W_v), "the first position has nobody but itself to look at"

# %% [markdown]
# An equality of numbers on one input is one kind of test. A *property* is another, and it needs no
# reference: whatever happens at position $j$, nothing before $j$ may change. Not nearly: not a
# single bit.

# %%
for j in range(n):
    changed = x.copy()
    changed[j] += 100.0
    after, _ = causal_self_attention(changed, W_q, W_k, W_v)
    assert np.array_equal(after[:j], ours[:j]), "the past has changed"
    assert not np.allclose(after[j:], ours[j:])
print("no position sees what comes after it")

# %% [markdown]
# ## A mask in the wrong place
#
# What if the weights ahead are set to 0 *after* the softmax? The picture of the weights looks
# right. But the keys ahead have taken part in the sum that everything was divided by: rows no
# longer sum to 1, and the future leaks into the present through the denominator.


# %%
def masked_too_late(x, W_q, W_k, W_v):
    """The mistake: the softmax has already seen what is masked."""
    query, key, value = x @ W_q, x @ W_k, x @ W_v
    weights = softmax(query @ key.T / np.sqrt(query.shape[-1])) * np.tri(len(x))
    return weights @ value, weights


wrong, wrong_weights = masked_too_late(x, W_q, W_k, W_v)
changed = x.copy()
changed[-1] += 1.0
leaked, _ = masked_too_late(changed, W_q, W_k, W_v)
print("sums of rows:", np.round(wrong_weights.sum(axis=-1), 2))
print("position 0 moves by", np.abs(leaked[0] - wrong[0]).max(), "when the last one changes")
assert wrong_weights[0].sum() < 0.9
assert np.abs(leaked[0] - wrong[0]).max() > 1e-3

# %% [markdown]
# Some implementations add a large negative number such as $-10^4$ in place of $-\infty$. That gives
# exactly the same weights as long as every score is far smaller than that, and fails in silence
# when one is not. It is a second mistake that this project plants on purpose.
#
# ## Backwards
#
# To train, the gradient has to pass through all of it. Let $G = \partial L / \partial O$ be the
# gradient for the result $O = A V$ with the weights $A = \mathrm{softmax}(S)$ and scores
# $S = Q K^{\top} / \sqrt{d}$. Going back, step by step:
#
# $$
# \begin{aligned}
# \frac{\partial L}{\partial V} &= A^{\top} G \\
# D &= \frac{\partial L}{\partial A} = G V^{\top} \\
# \frac{\partial L}{\partial S_{ij}} &= A_{ij} \left( D_{ij} - \sum_{k} A_{ik} D_{ik} \right) \\
# \frac{\partial L}{\partial Q} &= \frac{1}{\sqrt{d}} \frac{\partial L}{\partial S} K \\
# \frac{\partial L}{\partial K} &=
# \frac{1}{\sqrt{d}} \left( \frac{\partial L}{\partial S} \right)^{\top} Q
# \end{aligned}
# $$
#
# The mask needs no line of its own: where $A_{ij} = 0$, the gradient of the score is 0.


# %%
def attention_backward(query, key, value, grad):
    """Gradients for query, key and value of causal attention, given grad [n, d] for its result."""
    scale = 1 / np.sqrt(query.shape[-1])
    weights = softmax(query @ key.T * scale + causal_mask(len(query)))
    grad_value = weights.T @ grad
    grad_weights = grad @ value.T
    inner = (weights * grad_weights).sum(axis=-1, keepdims=True)
    grad_scores = weights * (grad_weights - inner)
    return grad_scores @ key * scale, grad_scores.T @ query * scale, grad_value


tensors = [torch.from_numpy(x @ W).requires_grad_() for W in (W_q, W_k, W_v)]
grad = rng.normal(size=(n, d))
out = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=True)
out.backward(torch.from_numpy(grad))
for name, tensor, mine in zip(
    ("query", "key", "value"),
    tensors,
    attention_backward(x @ W_q, x @ W_k, x @ W_v, grad),
    strict=True,
):
    theirs = tensor.grad.numpy()
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-13)
    print(f"gradient for {name}: largest difference {np.abs(mine - theirs).max():.1e}")

# %% [markdown]
# ## A head of a real model
#
# This repository ships `tiny`, a GPT-2 with 1.35 million parameters, trained on the King James
# Bible. Its blocks have four heads of 32 features. GPT-2 keeps $W_q$, $W_k$ and $W_v$ side by side
# in one matrix, `c_attn`, and adds a bias. We take the first head of the first block, and give it
# what the reference has at that place: the layer-normalised embeddings of a sentence.

# %%
checkpoint = load("tiny")
tokenizer = Tokenizer.load(checkpoint.folder)
ids = np.array([tokenizer.encode("And God said, Let there be light: and there was light.")])
trace = Oracle(checkpoint).trace(ids)

place = "transformer.h.0.attn"
given = trace[f"{place}:input"][0]  # [n, 128]
W = checkpoint.weights[f"{place}.c_attn.weight"].astype(float)  # [128, 3 * 128]
b = checkpoint.weights[f"{place}.c_attn.bias"].astype(float)
query, key, value = np.split(given @ W + b, 3, axis=-1)
head = slice(0, checkpoint.config.head_dim)

scores = query[:, head] @ key[:, head].T / np.sqrt(checkpoint.config.head_dim)
weights = softmax(scores + causal_mask(len(scores)))
ours = weights @ value[:, head]

# What the reference hands to the output projection: the results of all heads, side by side.
theirs = trace[f"{place}.c_proj:input"][0][:, head]
np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
print("largest difference to the reference:", np.abs(ours - theirs).max())

# %%
words = [tokenizer.decode([i]) for i in ids[0]]
drawn, axes = figure(size=(4.8, 4.2))
heatmap(axes, weights, rows=words, columns=words, title="block 0, head 0 of tiny", vmin=0)
show(drawn, "A lower triangle of attention weights over the words of a sentence")

# %% [markdown]
# Everything above the diagonal is exactly 0, and every row sums to 1.
#
# ## What it costs
#
# For $n$ positions and $d$ features, $Q K^{\top}$ takes $2 n^2 d$ floating-point operations, and so
# does the product with $V$. The weights are $n^2$ numbers. Twice the length is four times the work,
# where a recurrent network would need twice. This is the price for looking at everything; the gain
# is that all positions are computed at once.

# %%
for length in (128, 1024, 8192):
    operations, numbers = 4 * length**2 * 64, length**2
    print(f"{length:>5} positions, d = 64: {operations / 1e6:>9,.1f} million operations, "
          f"{numbers * 4 / 2**20:>7,.2f} MiB of weights in float32")  # fmt: skip

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** A decoder with a *sliding window* lets each position see only itself and the
# $w - 1$ positions before it. Write the mask to be added: 0 where a query may look, $-\infty$
# elsewhere.


# %% tags=["exercise"]
def window_mask(n, w):
    """[n, n], query by key."""
    ...  # your turn


# %% tags=["check"]
@check(window_mask)
def each_sees_itself_and_some_before(answer):
    """Against the definition, entry by entry."""
    found = answer(6, 3)
    assert np.shape(found) == (6, 6), "a row for each query, a column for each key"
    for i in range(6):
        for j in range(6):
            seen = i - 3 < j <= i
            assert found[i, j] == (0 if seen else -np.inf), f"query {i}, key {j}"
    assert np.array_equal(answer(5, 5), causal_mask(5)), "a window of n is the causal mask"


# %% tags=["solution", "hide-input"]
def solution_1(n, w):
    back = np.arange(n)[:, None] - np.arange(n)  # how far behind the query each key lies
    return np.where((back >= 0) & (back < w), 0.0, -np.inf)


each_sees_itself_and_some_before(solution_1)

# %% [markdown]
# **Exercise 2.** While text is generated, tokens come one at a time, and the keys and values of
# earlier ones are kept. Compute the result for *one* new query, given all keys and values up to and
# including its own. Which mask does it need?


# %% tags=["exercise"]
def attention_of_the_newest(q, key, value):
    """q [d], key [n, d], value [n, d], the newest last: the result [d]."""
    ...  # your turn


# %% tags=["check"]
@check(attention_of_the_newest)
def it_is_the_last_row(answer):
    """One at a time gives the same rows as all at once."""
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 7, 16))
    weights = softmax(query @ key.T / 4 + causal_mask(7))
    for i in range(7):
        found = answer(query[i], key[: i + 1], value[: i + 1])
        assert np.shape(found) == (16,), "one vector"
        assert np.allclose(found, weights[i] @ value), f"row {i} of causal attention (sqrt(16) = 4)"


# %% tags=["solution", "hide-input"]
def solution_2(q, key, value):
    return softmax(key @ q / np.sqrt(len(q))) @ value  # nothing lies ahead: no mask


it_is_the_last_row(solution_2)

# %% [markdown]
# **Exercise 3.** Fast kernels never hold all $n$ weights. They take the keys in pieces, and keep
# three things: the largest score so far $m$, the sum $\ell$ of $\exp(s - m)$, and the weighted sum
# of values $a$. When a piece brings a larger score, $\ell$ and $a$ are first multiplied by
# $\exp(m_{old} - m_{new})$. Write it for one query. (This is the core of FlashAttention, Dao et al.
# 2022, arXiv:2205.14135.)


# %% tags=["exercise"]
def attention_in_pieces(q, pieces):
    """q [d]; pieces: a generator of (key [k, d], value [k, e]): the result [e]."""
    ...  # your turn


# %% tags=["check"]
@check(attention_in_pieces)
def pieces_make_no_difference(answer):
    """Pieces of 1, 3 and 8; scores that would overflow without the running maximum."""
    rng = np.random.default_rng(0)
    q, key, value = 60 * rng.normal(size=8), rng.normal(size=(24, 8)), rng.normal(size=(24, 5))
    key[12:] *= 40
    wanted = softmax(key @ q / np.sqrt(8)) @ value
    for k in (1, 3, 8):
        with np.errstate(over="ignore", invalid="ignore"):
            found = answer(q, ((key[i : i + k], value[i : i + k]) for i in range(0, 24, k)))
        assert np.all(np.isfinite(found)), "exp of a large score: subtract the largest so far"
        assert np.allclose(found, wanted), f"pieces of {k}"


# %% tags=["solution", "hide-input"]
def solution_3(q, pieces):
    largest, total, weighted = -np.inf, 0.0, 0.0
    for key, value in pieces:
        scores = key @ q / np.sqrt(len(q))
        new = max(largest, scores.max())
        old_share, e = np.exp(largest - new), np.exp(scores - new)
        total = total * old_share + e.sum()
        weighted = weighted * old_share + e @ value
        largest = new
    return weighted / total


pieces_make_no_difference(solution_3)

# %% [markdown]
# ## What to take along
#
# - Self-attention makes queries, keys and values of one sequence with three matrices; that is all
#   it learns.
# - The causal mask acts on the scores, before the softmax. Afterwards the future has already leaked
#   into the denominator.
# - A property (the past does not change) catches what a comparison on one input may miss.
# - Work and memory grow with the square of the length; the memory can be avoided, piece by piece,
#   the work cannot.
