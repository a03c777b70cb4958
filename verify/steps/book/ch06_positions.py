# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 6. Positions
#
# After this chapter you know why attention needs to be told where each token stands, and three ways
# to do so: sinusoids, a learned table (GPT-2's), and rotations (most models since). You have shown
# in numbers that rotations see distances alone, and have looked into the table that `tiny` has
# learned.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from impl.tokenizer import Tokenizer
from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

rng = np.random.default_rng(6)

# %% [markdown]
# ## Without positions, order is lost
#
# Attention is a weighted mean, and a mean does not know the order of what it is taken of. If the
# rows of $X$ are permuted, the rows of the result are permuted alike, and nothing else happens.
# With a permutation matrix $P$:
#
# $$
# \mathrm{attention}(P X) = P \; \mathrm{attention}(X)
# $$
#
# This is called **equivariance**. "Dog bites man" and "man bites dog" give each word the same
# vector.


# %%
def softmax(scores):
    """Over the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(query, key, value, causal=False):
    """[n, d] each: [n, d]."""
    scores = query @ key.T / np.sqrt(query.shape[-1])
    if causal:
        scores = np.where(np.tri(len(query), dtype=bool), scores, -np.inf)
    return softmax(scores) @ value


n, d = 8, 16
x = rng.normal(size=(n, d))
W_q, W_k, W_v = rng.normal(size=(3, d, d)) / np.sqrt(d)


def self_attention(x, causal=False):
    """With random weights."""
    return attention(x @ W_q, x @ W_k, x @ W_v, causal)


order = rng.permutation(n)
np.testing.assert_allclose(self_attention(x[order]), self_attention(x)[order], rtol=0, atol=1e-14)
print("permuted words, permuted results: equal")

# %% [markdown]
# The causal mask breaks this symmetry a little: a position sees only what is before it. But what
# the *last* position sees is still a set, whatever the order of those before.

# %%
order = np.append(rng.permutation(n - 1), n - 1)  # the last one stays last
whole, shuffled = self_attention(x, causal=True), self_attention(x[order], causal=True)
np.testing.assert_allclose(shuffled[-1], whole[-1], rtol=0, atol=1e-14)
assert not np.allclose(shuffled[:-1], whole[order[:-1]])
print("the last position does not notice that all others were shuffled")

# %% [markdown]
# ## Sinusoids
#
# The first transformer added a vector to each embedding that depends on its position $p$ alone:
# pairs of a sine and a cosine, fast in the first pairs and slow in the last.
#
# $$
# \mathrm{PE}(p)_{2i} = \sin(p \, \omega_i), \qquad
# \mathrm{PE}(p)_{2i+1} = \cos(p \, \omega_i), \qquad \omega_i = 10000^{-2i/D}
# $$


# %%
def sinusoids(n, width):
    """[n, width]: sines in the even columns, cosines in the odd ones."""
    frequency = 10000.0 ** (-np.arange(0, width, 2) / width)  # [width / 2]
    angle = np.arange(n)[:, None] * frequency
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(n, width)


table = sinusoids(256, 128)

# %% [markdown]
# Why this? Because a step of $k$ positions is the same *rotation* everywhere. With the addition
# theorems,
#
# $$
# \begin{bmatrix} \sin((p + k) \omega) \\ \cos((p + k) \omega) \end{bmatrix} =
# \begin{bmatrix} \cos k \omega & \sin k \omega \\ -\sin k \omega & \cos k \omega \end{bmatrix}
# \begin{bmatrix} \sin p \, \omega \\ \cos p \, \omega \end{bmatrix}
# $$
#
# so that the product of two positions depends on their distance alone:
# $\mathrm{PE}(p) \cdot \mathrm{PE}(q) = \sum_i \cos((p - q) \, \omega_i)$.

# %%
products = table @ table.T
for distance in (0, 1, 10, 100):
    along = np.diagonal(products, distance)
    print(f"distance {distance:>3}: {along.mean():6.2f}, spread {np.ptp(along):.1e}")
    assert np.ptp(along) < 1e-10

# %% [markdown]
# ## A learned table
#
# GPT-2 has no formula. Its `wpe` is a table with a row for each position, drawn at random and
# trained like every other weight, and added to the embedding of the token. Here are the first
# positions of both, and the products of rows with each other (as cosines), for sinusoids and for
# what `tiny` has learned.

# %%
checkpoint = load("tiny")
learned = checkpoint.weights["transformer.wpe.weight"].astype(float)  # [256, 128]


def cosines(rows):
    """[n, n]: of the angle between each two rows."""
    unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit @ unit.T


drawn, grid = figure(2, 2, size=(7.2, 5.0))
heatmap(grid[0, 0], table[:64], title="sinusoids: position by feature", around_zero=True)
heatmap(
    grid[0, 1],
    learned[:64],
    title="tiny's wpe (clipped at 0.2)",
    around_zero=True,
    vmin=-0.2,
    vmax=0.2,
)
heatmap(grid[1, 0], cosines(table), title="sinusoids: cosine of two positions", vmin=-1, vmax=1)
heatmap(grid[1, 1], cosines(learned), title="tiny: cosine of two positions", vmin=-1, vmax=1)
show(drawn, "Tables of positions, and cosines between rows: both are bright along the diagonal")

# %% [markdown]
# Nobody told the model that position 100 lies beside 101, and yet neighbours have become similar.
# We can also ask how much of the table is used: the singular values say in how many directions the
# rows really differ.

# %%
near = np.diagonal(cosines(learned), 1).mean()
far = np.diagonal(cosines(learned), 100).mean()
spectrum = np.linalg.svd(learned - learned.mean(axis=0), compute_uv=False) ** 2
needed = int(np.searchsorted(np.cumsum(spectrum) / spectrum.sum(), 0.9)) + 1
print(f"cosine of neighbours {near:.2f}, of positions 100 apart {far:.2f}")
print(f"{needed} of {learned.shape[1]} directions hold 90% of the variance")
assert near > far

# %% [markdown]
# Does the model need it? Let us change the table and measure the loss on text that the model has
# not seen: as it is; every position moved by 64; all rows the same (their mean); and the rows
# shuffled.

# %%
tokenizer = Tokenizer.load(checkpoint.folder)
held_out = (checkpoint.folder / "heldout.txt").read_text(encoding="utf-8")
ids = np.array(tokenizer.encode(held_out)[: 4 * 96]).reshape(4, 96)


def loss_with(table):
    """Mean cross-entropy of the next token in nats, with this table of positions."""
    model = Oracle(checkpoint, np.float32)
    model.weights = {**model.weights, "transformer.wpe.weight": table.astype(np.float32)}
    logits = model.trace(ids)["lm_head"][:, :-1].astype(float)
    logits -= logits.max(axis=-1, keepdims=True)
    right = np.take_along_axis(logits, ids[:, 1:, None], axis=-1)[..., 0]
    return (np.log(np.exp(logits).sum(axis=-1)) - right).mean()


losses = {
    "as it is": loss_with(learned),
    "moved by 64": loss_with(np.roll(learned, -64, axis=0)),
    "all the same": loss_with(np.broadcast_to(learned.mean(axis=0), learned.shape)),
    "shuffled": loss_with(rng.permutation(learned)),
}
for name, loss in losses.items():
    print(f"{name:<13} {loss:.3f} nats, perplexity {np.exp(loss):6.1f}")
assert losses["as it is"] == min(losses.values())
assert losses["shuffled"] > losses["as it is"] + 0.5

# %% [markdown]
# Moving every position by 64 costs much less than giving all the same one: a good part of what the
# table says is how positions lie to each other. Wrong positions are worse than none. And there is
# no row 256: a learned table ends, and a longer text is an error. An index beyond the table that is
# clamped or wrapped in silence is a bug that only long inputs show.
#
# ## Rotations
#
# If distances are what matters, why not build exactly that in? **Rotary embeddings** (Su et al.
# 2021, arXiv:2104.09864) add nothing to the embeddings. They turn queries and keys, pair by pair,
# by an angle that grows with the position:
#
# $$
# R_p = \begin{bmatrix}
# \cos p \, \omega & -\sin p \, \omega \\ \sin p \, \omega & \cos p \, \omega
# \end{bmatrix}, \qquad
# (R_p \, q)^{\top} (R_r \, k) = q^{\top} R_{r - p} \, k
# $$
#
# Two rotations, one of them transposed, are a rotation by the difference. So the score depends on
# the query, the key and the *distance*, exactly.


# %%
def rotary(x, positions, base=10000.0):
    """Rotate pairs (i, i + d/2) of each row: x [n, d], positions [n], to [n, d]."""
    d = x.shape[-1]
    frequency = base ** (-np.arange(0, d, 2) / d)  # [d / 2]
    angle = positions[:, None] * frequency
    cos, sin = np.cos(angle), np.sin(angle)
    first, second = x[:, : d // 2], x[:, d // 2 :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


d = 64
q, k = rng.normal(size=(2, 1, d))
for distance in (0, 3, 50):
    scores = [
        (rotary(q, np.array([p + distance])) @ rotary(k, np.array([p])).T).item()
        for p in (0, 1, 17, 1000)
    ]
    print(f"distance {distance:>2}:", *(f"{s:.12f}" for s in scores))
    assert np.ptp(scores) < 1e-11
lengths = np.linalg.norm(rotary(np.repeat(q, 9, axis=0), np.arange(9)), axis=-1)
np.testing.assert_allclose(lengths, np.linalg.norm(q), rtol=1e-14)

# %% [markdown]
# The same numbers come from the function that Hugging Face's Llama uses. Which entries form a pair
# is a convention: Llama's code in transformers pairs $i$ with $i + d/2$, others pair $2i$ with
# $2i + 1$. The two are a permutation of features apart, so weights trained for one are wrong in the
# other, and nothing but the numbers says so.

# %%
n = 10
x = rng.normal(size=(n, d))
angle = torch.arange(n, dtype=torch.float64)[:, None] * 10000.0 ** (
    -torch.arange(0, d, 2, dtype=torch.float64) / d
)
both = torch.cat([angle, angle], dim=-1)[None]
theirs, _ = apply_rotary_pos_emb(*[torch.from_numpy(x)[None, None]] * 2, both.cos(), both.sin())
ours = rotary(x, np.arange(n))
np.testing.assert_allclose(ours, theirs[0, 0].numpy(), rtol=0, atol=1e-13)


def rotary_of_neighbours(x, positions):
    """The other convention: pairs (2i, 2i + 1)."""
    order = np.append(np.arange(0, x.shape[-1], 2), np.arange(1, x.shape[-1], 2))
    turned = np.empty_like(x)
    turned[:, order] = rotary(x[:, order], positions)
    return turned


positions = np.arange(n)
other = rotary_of_neighbours(x, positions)
assert not np.allclose(ours, other)
print("the two conventions differ by up to", round(np.abs(ours - other).max(), 2))

# %% [markdown]
# How does a score fall with distance? Take a query and a key that are equal, all ones: the rotary
# score is the sum $2 \sum_i \cos(\Delta \, \omega_i)$, the same sum as for sinusoids.

# %%
distances = np.arange(256)
ones = np.ones((len(distances), d))
falling = rotary(ones, distances) @ rotary(ones[:1], np.array([0])).T / d

drawn, axes = figure(size=(6.4, 2.6))
axes.plot(distances, falling[:, 0], label="rotary, equal query and key")
axes.plot(distances, cosines(learned)[0], "--", label="tiny's wpe: cosine with position 0")
axes.plot(distances, cosines(learned)[128], ":", label="tiny's wpe: cosine with position 128")
axes.set(xlabel="distance, or position", title="how alike two positions are")
axes.legend()
show(drawn, "The rotary score falls with distance; the table's cosines peak at their own position")
np.testing.assert_allclose(
    falling[:, 0], sinusoids(256, d) @ sinusoids(1, d)[0] * 2 / d, atol=1e-12
)

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Write the matrix $M_k$ that takes a row of the table of sinusoids $k$ positions
# on: $\mathrm{PE}(p + k) = M_k \, \mathrm{PE}(p)$ for every $p$.


# %% tags=["exercise"]
def step_matrix(k, width):
    """[width, width], in the layout of `sinusoids`: sine, cosine, sine, cosine, ..."""
    ...  # your turn


# %% tags=["check"]
@check(step_matrix)
def one_matrix_for_every_position(answer):
    """A step is the same everywhere; two steps of 3 are one of 6."""
    table, M = sinusoids(40, 8), answer(3, 8)
    assert np.shape(M) == (8, 8), "one matrix for the whole row"
    assert np.allclose(M @ table[0], table[3]), "from position 0 to 3"
    assert np.allclose(table[:-3] @ M.T, table[3:]), "from every position to the third after it"
    assert np.allclose(M @ M, answer(6, 8)), "two steps of 3 are one of 6"


# %% tags=["solution", "hide-input"]
def solution_1(k, width):
    M = np.zeros((width, width))
    for i in range(0, width, 2):
        a = k * 10000.0 ** (-i / width)
        M[i : i + 2, i : i + 2] = [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]
    return M


one_matrix_for_every_position(solution_1)

# %% [markdown]
# **Exercise 2.** While text is generated with a KV cache, a new token arrives when `cached` tokens
# are already there. Return the rows of the learned table for `count` new tokens, and raise a
# `ValueError` where the table ends, in place of an answer that is wrong in silence.


# %% tags=["exercise"]
def positions_of_new(table, cached, count):
    """table [rows, width]: [count, width]."""
    ...  # your turn


# %% tags=["check"]
@check(positions_of_new)
def they_go_on_where_the_cache_ends(answer):
    """Not from 0 again, and not beyond the table."""
    table = np.arange(10.0)[:, None] * np.ones(4)
    assert np.array_equal(answer(table, 0, 3), table[:3]), "the first tokens: rows 0, 1, 2"
    assert np.array_equal(answer(table, 6, 2), table[6:8]), "after 6 cached tokens: rows 6 and 7"
    assert np.array_equal(answer(table, 9, 1), table[9:]), "the last row may be used"
    try:
        answer(table, 9, 2)
    except ValueError:
        return
    raise AssertionError("there is no row 10: raise ValueError")


# %% tags=["solution", "hide-input"]
def solution_2(table, cached, count):
    if cached + count > len(table):
        raise ValueError(f"{cached + count} positions are asked for; the table has {len(table)}")
    return table[cached : cached + count]


they_go_on_where_the_cache_ends(solution_2)

# %% [markdown]
# **Exercise 3.** ALiBi (Press, Smith and Lewis 2021, arXiv:2108.12409) has no embedding of
# positions at all: it subtracts a slope times the distance from each score. Write the term to be
# added to causal scores of one head: $-m (i - j)$ for $j \le i$, and $-\infty$ ahead.


# %% tags=["exercise"]
def alibi(n, slope):
    """[n, n], query by key."""
    ...  # your turn


# %% tags=["check"]
@check(alibi)
def nearer_is_larger(answer):
    """Entry by entry, and what it does to equal scores."""
    found = answer(4, 0.5)
    assert np.shape(found) == (4, 4), "a row for each query"
    assert np.all(np.diag(found) == 0), "at distance 0 nothing is subtracted"
    assert found[3, 0] == -1.5, "distance 3, slope 0.5"
    assert np.all(np.isneginf(found[np.triu_indices(4, 1)])), "what lies ahead stays masked"
    weights = softmax(answer(4, np.log(2)))[3]
    assert np.allclose(weights, np.array([1, 2, 4, 8]) / 15), "each step back halves the weight"


# %% tags=["solution", "hide-input"]
def solution_3(n, slope):
    back = np.arange(n)[:, None] - np.arange(n)
    return np.where(back >= 0, -slope * back, -np.inf)


nearer_is_larger(solution_3)

# %% [markdown]
# ## What to take along
#
# - Attention treats its keys as a set. Whatever a model knows about order, positions have told it.
# - Sinusoids and rotations turn a step into a rotation, so that products depend on distances.
# - GPT-2's table is learned, is added once at the bottom, and ends: position 1024 does not exist.
# - Pairs of a rotation are a matter of convention. Two conventions have the same shapes and other
#   numbers, and this is how a port that looks right goes wrong.
