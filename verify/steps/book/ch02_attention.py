# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2. Attention
#
# After this chapter you know what attention computes, why its scores are divided by
# $\sqrt{d}$, and what happens to a softmax where they are not.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch

from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

rng = np.random.default_rng(2)

# %% [markdown]
# ## A lookup that can be differentiated
#
# For a query $q$ and keys $k_1, \ldots, k_n$ with values $v_1, \ldots, v_n$:
#
# $$
# \mathrm{attention}(q) = \sum_i w_i v_i, \qquad
# w_i = \frac{\exp(q \cdot k_i / \sqrt{d})}{\sum_j \exp(q \cdot k_j / \sqrt{d})}
# $$


# %%
def softmax(scores):
    """Of each row; the largest score is subtracted first, so that nothing overflows."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(query, key, value):
    """query [m, d], key [n, d], value [n, e]: the result [m, e], and the weights [m, n]."""
    weights = softmax(query @ key.T / np.sqrt(query.shape[-1]))
    return weights @ value, weights


# %%
query, key, value = (rng.normal(size=(n, 16)) for n in (4, 6, 6))
ours, weights = attention(query, key, value)
theirs = torch.nn.functional.scaled_dot_product_attention(
    *(torch.from_numpy(x)[None] for x in (query, key, value))
)[0].numpy()
np.testing.assert_allclose(ours, theirs, atol=1e-12)

# %%
drawn, axes = figure(size=(4.5, 2.6))
heatmap(axes, weights, title="weights: a row for each query", vmin=0, vmax=1)
show(drawn, "A heat map of the weights of four queries over six keys")

# %% [markdown]
# **Exercise 1.** Write the softmax of each row of a matrix of scores.


# %% tags=["exercise"]
def softmax_of_rows(scores): ...  # your turn


# %% tags=["check"]
@check(softmax_of_rows)
def rows_sum_to_one(answer):
    """Rows sum to one, and large scores do no harm."""
    found = answer(np.array([[0.0, 1.0], [1000.0, 1000.0]]))
    assert np.allclose(found.sum(axis=-1), 1), "the weights of each row sum to 1"
    assert np.allclose(found[0], [0.26894142, 0.73105858]), "exp(x) over the sum of its row"


# %% tags=["solution", "hide-input"]
def solution_1(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


rows_sum_to_one(solution_1)

# %% [markdown]
# ## What to take along
#
# Attention is a mean of values, with weights from a softmax over products of queries and keys.
