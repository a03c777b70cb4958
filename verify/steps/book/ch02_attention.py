# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2. Attention
#
# After this chapter you know how a lookup in a table becomes a function with gradients, how two
# scores compare a query with keys (additive, and the scaled dot product that transformers use), and
# why the dot product is divided by $\sqrt{d}$: what happens without that is measured.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch

from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

rng = np.random.default_rng(2)

# %% [markdown]
# ## From a fixed state to a look back
#
# The recurrent networks of [chapter 1](ch01_before_transformers.py) squeeze everything they have
# read into one state of fixed size. A translator who works that way reads a sentence once, puts it
# away, and writes. Bahdanau, Cho and Bengio (2014, arXiv:1409.0473) let the network keep *all*
# states, one for each word, and look at them again for each word it writes. What decides where it
# looks is called **attention**.
#
# ## A lookup, made soft
#
# A dictionary returns the value whose key *equals* the query. That has no useful gradient: a small
# change of the query changes nothing, or everything. Let us take instead a mean of all values, with
# weights that say how well each key fits:
#
# $$
# \mathrm{lookup}(q) = \sum_{i=1}^{n} w_i \, v_i, \qquad
# w_i = \frac{\exp(s(q, k_i))}{\sum_{j=1}^{n} \exp(s(q, k_j))}
# $$
#
# The function $s$ is the **score** of a key, and the exponentials over their sum are the
# **softmax**: positive weights that sum to 1. The largest score is subtracted first. That changes
# nothing in exact arithmetic, and keeps $\exp$ from overflowing.


# %%
def softmax(scores):
    """Over the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# %% [markdown]
# Here are four keys with one value each, and a query near the third. The sharper the scores, the
# more the soft lookup is a dictionary's.

# %%
keys = np.eye(4)
values = np.array([[10.0], [20.0], [30.0], [40.0]])
near_third = np.array([0.1, 0.0, 0.9, 0.2])

for sharpness in (0, 1, 10, 100):
    w = softmax(sharpness * keys @ near_third)
    print(f"sharpness {sharpness:>3}: weights {np.round(w, 3)}, value {(w @ values)[0]:.2f}")

assert np.allclose(softmax(0 * keys @ near_third) @ values, values.mean())
assert np.allclose(softmax(1000 * keys @ near_third) @ values, 30)

# %% [markdown]
# ## Two scores
#
# The first attention was **additive**, a small network with weights $W$, $U$ and $u$ of its own:
#
# $$
# s(q, k) = u^{\top} \tanh(W q + U k)
# $$
#
# Luong, Pham and Manning (2015, arXiv:1508.04025) also tried the plain **dot product**
# $s(q, k) = q^{\top} k$, which needs the same size of query and key, and no weights. For $m$
# queries and $n$ keys, the additive score goes through an array of $m \cdot n \cdot h$ numbers; the
# dot product is one matrix product, which is what computers do best.


# %%
def additive_scores(query, key, W, U, u):
    """query [m, d], key [n, d], W and U [h, d], u [h]: scores [m, n]."""
    hidden = np.tanh((query @ W.T)[:, None, :] + (key @ U.T)[None, :, :])  # [m, n, h]
    return hidden @ u


def dot_scores(query, key):
    """query [m, d], key [n, d]: scores [m, n]."""
    return query @ key.T


# %% [markdown]
# Where $\tanh$ is nearly linear, the additive score is $u^{\top} W q + u^{\top} U k$: a part from
# the query, which the softmax ignores, and one from the key alone. What makes it depend on both
# together is the bend of the $\tanh$. The dot product has that dependence without any weights.

# %%
m, n, d, h = 3, 5, 8, 16
query, key = rng.normal(size=(m, d)), rng.normal(size=(n, d))
W, U, u = rng.normal(size=(h, d)), rng.normal(size=(h, d)), rng.normal(size=h)

small = 1e-4
nearly_linear = softmax(additive_scores(small * query, small * key, W, U, u) / small)
assert np.ptp(nearly_linear, axis=0).max() < 1e-5, "every query has the same weights"
bent = softmax(additive_scores(query, key, W, U, u))
print("largest difference between two queries' weights:", round(np.ptp(bent, axis=0).max(), 2))

# %% [markdown]
# ## Scaled dot-product attention
#
# *Attention Is All You Need* (Vaswani et al. 2017, arXiv:1706.03762) takes the dot product and
# divides it by $\sqrt{d}$. With the queries as the rows of $Q$, and keys and values as those of $K$
# and $V$:
#
# $$
# \mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^{\top}}{\sqrt{d}}\right) V
# $$


# %%
def attention(query, key, value, scale=None):
    """query [m, d], key [n, d], value [n, e]: the result [m, e], and the weights [m, n]."""
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    weights = softmax(dot_scores(query, key) * scale)
    return weights @ value, weights


# %% [markdown]
# It is the same function as PyTorch's, to the last digits of float64:

# %%
value = rng.normal(size=(n, 6))
ours, weights = attention(query, key, value)
theirs = torch.nn.functional.scaled_dot_product_attention(
    torch.from_numpy(query), torch.from_numpy(key), torch.from_numpy(value)
)
np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-14)
print("largest difference to PyTorch:", np.abs(ours - theirs.numpy()).max())

# %% [markdown]
# What does it look like? Let the keys be random vectors, and ask for them in the reverse order.
# Nobody says where each one stands: the weights find it by content.

# %%
d = 64
key = rng.normal(size=(12, d))
query = 2 * key[::-1] + 0.5 * rng.normal(size=key.shape)
_, weights = attention(query, key, key)
assert (weights.argmax(axis=-1) == np.arange(12)[::-1]).all()

drawn, axes = figure(size=(4.2, 3.2))
heatmap(axes, weights, title="a row for each query, a column for each key", vmin=0, vmax=1)
show(drawn, "Attention weights: the second diagonal is bright, each query finds its own key")

# %% [markdown]
# ## Why the square root of d
#
# Let the entries of $q$ and $k$ be independent, with mean 0 and variance 1. Each product $q_i k_i$
# has mean 0 and variance 1 as well, and variances of independent terms add up:
#
# $$
# \mathrm{Var}(q \cdot k) = \sum_{i=1}^{d} \mathrm{Var}(q_i k_i) = d
# $$
#
# So a typical score is $\pm\sqrt{d}$, and grows with the size of the vectors although nothing about
# their content has changed. Measured, over 20,000 pairs:

# %%
sizes = [2**power for power in range(1, 11)]
deviations = []
for d in sizes:
    q, k = rng.normal(size=(2, 20_000, d))
    deviations.append((q * k).sum(axis=-1).std())
    print(f"d = {d:>4}: standard deviation {deviations[-1]:6.2f}, sqrt(d) = {np.sqrt(d):6.2f}")
np.testing.assert_allclose(deviations, np.sqrt(sizes), rtol=0.03)

# %% [markdown]
# What is wrong with large scores? The softmax **saturates**: nearly all weight goes to one key, and
# the gradient vanishes. The derivative of the weights with respect to the scores is
#
# $$
# \frac{\partial w_i}{\partial s_j} = w_i (\delta_{ij} - w_j)
# $$
#
# and where one weight is 1 and all others are 0, every entry of that matrix is 0. Whatever the loss
# says, the scores do not move, and the keys and queries learn nothing.


# %%
def softmax_jacobian(w):
    """Derivatives of weights w [n] with respect to their scores: [n, n]."""
    return np.diag(w) - np.outer(w, w)


scores = rng.normal(size=6)
theirs = torch.autograd.functional.jacobian(
    lambda s: torch.softmax(s, dim=-1), torch.from_numpy(scores)
)
np.testing.assert_allclose(softmax_jacobian(softmax(scores)), theirs.numpy(), rtol=0, atol=1e-15)

# %% [markdown]
# Now the same over $d$, for 32 keys: the largest weight, and the size of the Jacobian (its
# Frobenius norm), with the division and without.


# %%
def measured(d, scale, trials=200, n=32):
    """Mean of the largest weight, and of the Jacobian's norm, over random queries and keys."""
    q, k = rng.normal(size=(trials, 1, d)), rng.normal(size=(trials, n, d))
    w = softmax((q * k).sum(axis=-1) * scale)
    norms = [np.linalg.norm(softmax_jacobian(row)) for row in w]
    return w.max(axis=-1).mean(), np.mean(norms)


plain = np.array([measured(d, 1.0) for d in sizes])
scaled = np.array([measured(d, 1 / np.sqrt(d)) for d in sizes])

drawn, (left, right) = figure(1, 2, size=(7.5, 2.9))
for axes, column, title in ((left, 0, "largest of 32 weights"), (right, 1, "norm of the Jacobian")):
    axes.semilogx(sizes, plain[:, column], "o-", base=2, label="scores as they are")
    axes.semilogx(sizes, scaled[:, column], "s--", base=2, label=r"divided by $\sqrt{d}$")
    axes.set(title=title, xlabel="d")
    axes.set_ylim(bottom=0)
left.legend()
show(drawn, "Over d: undivided, the largest weight rises to nearly 1 and the norm of the Jacobian "
     "falls towards 0; divided, both stay where they are")  # fmt: skip

print(f"largest weight at d = 1024: {plain[-1, 0]:.3f} as they are, {scaled[-1, 0]:.3f} divided")
print(f"Jacobian's norm at d = 1024: {plain[-1, 1]:.3f} as they are, {scaled[-1, 1]:.3f} divided")
assert plain[-1, 0] > 0.9
assert scaled[-1, 0] < 0.4
assert np.ptp(scaled[2:, 0]) < 0.05, "with the division, d makes no difference"

# %% [markdown]
# In GPT-2 small, $d = 64$ for each head, so scores are divided by 8. The mistake of dividing by $d$
# or by the width of the whole model instead does not crash and does not look wrong: it makes all
# weights flatter. It is one of the faults that this project plants to see whether it is caught.
#
# ## Exercises
#
# **Exercise 1.** A soft lookup with a sharpness $\beta$: the scores are *minus* $\beta$ times the
# squared distance of the query to each key. Return the weighted mean of the values.


# %% tags=["exercise"]
def lookup_by_distance(query, keys, values, beta):
    """query [d], keys [n, d], values [n, e]: [e]."""
    ...  # your turn


# %% tags=["check"]
@check(lookup_by_distance)
def near_keys_count_more(answer):
    """With beta = 0 all count alike, with a large one the nearest alone, between a softmax."""
    keys, values = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[1.0], [3.0]])
    near = np.array([0.0, 1.0])
    assert np.allclose(answer(near, keys, values, 0.0), 2), "beta = 0: the mean of all values"
    assert np.allclose(answer(near, keys, values, 50.0), 1), "large beta: the nearest key's value"
    middle = 1 + 2 / (1 + np.exp(0.1 * (18 - 1)))
    assert np.allclose(answer(near, keys, values, 0.1), middle), "squared distances here: 1 and 18"


# %% tags=["solution", "hide-input"]
def solution_1(query, keys, values, beta):
    squared = ((keys - query) ** 2).sum(axis=-1)
    return softmax(-beta * squared) @ values


near_keys_count_more(solution_1)

# %% [markdown]
# **Exercise 2.** The gradient of a loss $L$ with respect to the weights,
# $g_i = \partial L / \partial w_i$, is given. What is the gradient with respect to the scores? Do
# it without the matrix of $n \times n$ derivatives: $O(n)$ operations are enough.


# %% tags=["exercise"]
def gradient_of_scores(w, g):
    """w [n]: weights of a softmax; g [n]: gradient for them; the gradient [n] for the scores."""
    ...  # your turn


# %% tags=["check"]
@check(gradient_of_scores)
def it_is_what_the_jacobian_gives(answer):
    """Against the matrix, at random weights; and a property that needs no matrix."""
    rng = np.random.default_rng(0)
    w, g = softmax(rng.normal(size=50)), rng.normal(size=50)
    found = answer(w, g)
    assert np.shape(found) == (50,), "one number for each score"
    assert abs(np.sum(found)) < 1e-12, "scores that all grow alike change nothing: the sum is 0"
    assert np.allclose(found, softmax_jacobian(w) @ g), "sum over i of g_i w_i (delta_ij - w_j)"


# %% tags=["solution", "hide-input"]
def solution_2(w, g):
    return w * (g - w @ g)


it_is_what_the_jacobian_gives(solution_2)

# %% [markdown]
# **Exercise 3.** Sentences of a batch differ in length, and short ones are filled up. Write
# attention that gives the filling no weight at all: `real` is true where a key is a real one. (What
# has to happen to a score for its exponential to be 0?)


# %% tags=["exercise"]
def attention_to_real_keys(query, key, value, real):
    """query [m, d], key [n, d], value [n, e], real [n] of bool: the result [m, e]."""
    ...  # your turn


# %% tags=["check"]
@check(attention_to_real_keys)
def filling_has_no_weight(answer):
    """The result is that of the real keys alone, whatever stands in the filling."""
    rng = np.random.default_rng(1)
    query, key, value = rng.normal(size=(2, 8)), rng.normal(size=(5, 8)), rng.normal(size=(5, 3))
    real = np.array([True, True, True, False, False])
    wanted, _ = attention(query, key[:3], value[:3])
    key[3:], value[3:] = 30.0, 1e6
    found = answer(query, key, value, real)
    assert np.all(np.abs(found) < 100), "a value of the filling got some weight"
    assert np.allclose(found, wanted), "the weights of the real keys sum to 1"


# %% tags=["solution", "hide-input"]
def solution_3(query, key, value, real):
    scores = query @ key.T / np.sqrt(query.shape[-1])
    return softmax(np.where(real, scores, -np.inf)) @ value


filling_has_no_weight(solution_3)

# %% [markdown]
# ## What to take along
#
# - Attention is a mean of values; the weights are a softmax of how well each key fits the query.
# - It has no weights of its own: what is learned is where queries, keys and values come from
#   ([chapter 4](ch04_self_attention.py)).
# - Dot products of vectors with $d$ entries have a standard deviation of $\sqrt{d}$. Divided by it,
#   the softmax works in the same range for every $d$, and gradients flow.
# - A score of $-\infty$ is a weight of exactly 0. That is how masks are made.
