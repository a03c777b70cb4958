# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 5. Many heads
#
# After this chapter you know how attention is split into heads and put together again, in two ways
# that are equal, and that this is what Hugging Face's `GPT2Attention` computes. You have looked at
# what all 24 heads of a trained model attend to, and have measured which of them it could do
# without.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch

from impl.tokenizer import Tokenizer
from reference.huggingface import load_model
from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

rng = np.random.default_rng(5)

# %% [markdown]
# ## Why more than one
#
# One head takes one weighted mean for each position. If a position needs two things, the subject of
# the sentence and the word just before, a single set of weights has to blur them. Several **heads**
# ask several questions at once, each in its own small space: with width $D$ and $H$ heads, each
# head works on $d = D / H$ features, so that all together cost as much as one of full width.
#
# $$
# \begin{aligned}
# \mathrm{head}_h &= \mathrm{softmax}\left(\frac{Q_h K_h^{\top}}{\sqrt{d}} + M\right) V_h \\
# \mathrm{result} &= \left[\mathrm{head}_1 \ldots \mathrm{head}_H\right] W_o + b_o
# \end{aligned}
# $$


# %%
def softmax(scores):
    """Over the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def causal_mask(n):
    """[n, n]: 0 where key <= query, and -inf where the key lies ahead."""
    return np.where(np.tri(n, dtype=bool), 0.0, -np.inf)


# %% [markdown]
# **One head after the other.** Each takes its own columns of query, key and value; the results are
# put side by side.


# %%
def heads_in_turn(query, key, value, heads):
    """query, key, value [n, D]: [n, D]."""
    n, width = query.shape
    d = width // heads
    results = []
    for h in range(heads):
        mine = slice(h * d, (h + 1) * d)
        scores = query[:, mine] @ key[:, mine].T / np.sqrt(d) + causal_mask(n)
        results.append(softmax(scores) @ value[:, mine])
    return np.concatenate(results, axis=-1)


# %% [markdown]
# **All heads at once.** The $D$ columns are seen as $H$ groups of $d$, and the axis of the heads
# goes to the front, where NumPy's `@` treats it as a stack of independent products. The order
# matters: first `reshape`, then `transpose`. A `reshape` straight to `[heads, n, d]` has the right
# shape and mixes positions with features.


# %%
def split_heads(x, heads):
    """[n, D] to [heads, n, D / heads]."""
    n, width = x.shape
    return x.reshape(n, heads, width // heads).transpose(1, 0, 2)


def merge_heads(x):
    """[heads, n, d] to [n, heads * d]."""
    heads, n, d = x.shape
    return x.transpose(1, 0, 2).reshape(n, heads * d)


def heads_at_once(query, key, value, heads):
    """query, key, value [n, D]: the result [n, D], and the weights [heads, n, n]."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    weights = softmax(scores + causal_mask(len(query)))
    return merge_heads(weights @ v), weights


query, key, value = rng.normal(size=(3, 7, 32))
at_once, _ = heads_at_once(query, key, value, heads=4)
np.testing.assert_allclose(at_once, heads_in_turn(query, key, value, 4), rtol=0, atol=1e-14)

mixed = query.reshape(4, 7, 8)
assert mixed.shape == split_heads(query, 4).shape
assert not np.allclose(mixed, split_heads(query, 4)), "the same shape, other numbers"

# %% [markdown]
# **What the output projection does.** The results side by side, times $W_o$, is a *sum over heads*:
# each head has $d$ rows of $W_o$ to itself, and adds its own contribution to the stream. Heads do
# not talk to each other within a block.
#
# $$
# \left[\mathrm{head}_1 \ldots \mathrm{head}_H\right] W_o =
# \sum_{h=1}^{H} \mathrm{head}_h \, W_o^{(h)}
# $$

# %%
W_o = rng.normal(size=(32, 32))
by_head = split_heads(at_once, 4) @ W_o.reshape(4, 8, 32)  # [heads, n, D]
np.testing.assert_allclose(at_once @ W_o, by_head.sum(axis=0), rtol=0, atol=1e-13)

# %% [markdown]
# ## The same as GPT-2's
#
# Now with the weights of `tiny`: 6 blocks of 4 heads. Our function, this project's reference in
# NumPy, and Hugging Face's module get the same input, in float64.

# %%
checkpoint = load("tiny")
config = checkpoint.config
weights_of = {name: array.astype(float) for name, array in checkpoint.weights.items()}


def attention_of_block(block, x):
    """The whole attention of one block: x [n, D] to [n, D], and the weights [heads, n, n]."""
    part = f"transformer.h.{block}.attn"
    fused = x @ weights_of[f"{part}.c_attn.weight"] + weights_of[f"{part}.c_attn.bias"]
    mixed, weights = heads_at_once(*np.split(fused, 3, axis=-1), config.n_head)
    return mixed @ weights_of[f"{part}.c_proj.weight"] + weights_of[f"{part}.c_proj.bias"], weights


tokenizer = Tokenizer.load(checkpoint.folder)
text = "And the LORD said unto Moses, Go in unto Pharaoh, and say unto him, Let my people go."
ids = np.array(tokenizer.encode(text))
trace = Oracle(checkpoint).trace(ids[None])
hf = load_model(checkpoint, torch.float64)
mask = torch.from_numpy(causal_mask(len(ids)))[None, None]  # Hugging Face's model makes it outside

maps = []
for block in range(config.n_layer):
    given = trace[f"transformer.h.{block}.attn:input"][0]
    ours, weights = attention_of_block(block, given)
    maps.append(weights)
    with torch.inference_mode():
        x = torch.from_numpy(given)[None]
        theirs = hf.transformer.h[block].attn(x, attention_mask=mask)[0][0].numpy()
    to_reference = np.abs(ours - trace[f"transformer.h.{block}.attn"][0]).max()
    to_hf = np.abs(ours - theirs).max()
    print(f"block {block}: to the reference {to_reference:.1e}, to Hugging Face {to_hf:.1e}")
    assert max(to_reference, to_hf) < 1e-12
maps = np.array(maps)  # [block, head, query, key]

# %% [markdown]
# ## What the heads look at
#
# Each small picture is one head: rows are queries, columns are keys, bright is a large weight.

# %%
drawn, grid = figure(config.n_layer, config.n_head, size=(6.4, 8.4))
for block in range(config.n_layer):
    for head in range(config.n_head):
        axes = grid[block, head]
        heatmap(axes, np.sqrt(maps[block, head]), title=f"{block}.{head}", bar=False, vmin=0)
        axes.set(xticks=[], yticks=[])
show(drawn, "Maps of 24 heads: some show a diagonal, some the first column, some are spread out")

# %% [markdown]
# Pictures suggest; numbers decide. For each head, as means over the queries: the weight on the
# token itself, on the one before, and on the first one of all; and how far the weights are spread,
# as the entropy $-\sum w \log_2 w$ in bits.

# %%
n = len(ids)
own = np.trace(maps, axis1=2, axis2=3) / n
before = np.trace(maps, offset=-1, axis1=2, axis2=3) / (n - 1)
first = maps[:, :, 2:, 0].mean(axis=-1)
entropy = -(maps * np.log2(np.where(maps > 0, maps, 1))).sum(axis=-1).mean(axis=-1)

drawn, grid = figure(1, 4, size=(7.5, 2.8))
told = (
    ("itself", own),
    ("the one before", before),
    ("the first", first),
    ("entropy, bits", entropy),
)
for axes, (title, measure) in zip(grid, told, strict=True):
    heatmap(axes, measure, title=title, rows=[str(b) for b in range(config.n_layer)], vmin=0)
    axes.set(xlabel="head", ylabel="block" if axes is grid[0] else "")
show(drawn, "By block and head: weight on the token itself, the one before, the first; entropy")

for title, measure in told:
    block, head = np.unravel_index(measure.argmax(), measure.shape)
    print(f"most {title:<14}: head {block}.{head}, {measure.max():.2f}")

# %% [markdown]
# ## Which heads does it need?
#
# A map says where a head looks, not whether that matters. To find out, one takes it away: here, the
# rows of $W_o$ that belong to the head become 0, and the loss on text that the model has not seen
# is measured again.

# %%
held_out = (checkpoint.folder / "heldout.txt").read_text(encoding="utf-8")
sample = np.array(tokenizer.encode(held_out)[: 4 * 128]).reshape(4, 128)


def loss_of(model):
    """Mean cross-entropy of the next token, in nats."""
    with torch.inference_mode():
        tokens = torch.from_numpy(sample)
        logits = model(tokens).logits[:, :-1]
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten()
        ).item()


model = load_model(checkpoint, torch.float32)
whole = loss_of(model)
harm = np.zeros((config.n_layer, config.n_head))
for block in range(config.n_layer):
    projection = model.transformer.h[block].attn.c_proj.weight
    for head in range(config.n_head):
        mine = slice(head * config.head_dim, (head + 1) * config.head_dim)
        kept = projection[mine].clone()
        with torch.no_grad():
            projection[mine] = 0
        harm[block, head] = loss_of(model) - whole
        with torch.no_grad():
            projection[mine] = kept
assert loss_of(model) == whole, "everything is back in its place"

drawn, axes = figure(size=(4.4, 3.0))
heatmap(axes, harm, title="loss without the head, minus loss with it (nats)", around_zero=True)
axes.set(xlabel="head", ylabel="block")
show(drawn, "A table of 6 blocks by 4 heads: how much the loss rises without each head")

order = np.argsort(harm, axis=None)[::-1]
print(f"loss with all heads: {whole:.3f}")
for place in (*order[:4], order[-1]):
    block, head = np.unravel_index(place, harm.shape)
    print(f"without head {block}.{head}: {harm[block, head]:+.3f}")

# %% [markdown]
# One head of the first block matters by far the most, and it is one of those that look back by one
# token. Most others could go alone without much harm. That few heads do most of the work is usual:
# Michel, Levy and Neubig (2019, arXiv:1905.10650) found it in larger models. It also says something
# about testing. A mistake in a head that matters little hardly changes the loss; comparing losses
# or texts would not find it. Comparing every place with the reference does.
#
# ## Exercises
#
# **Exercise 1.** GPT-2 processes a batch: `[batch, n, D]`. Split it into heads.


# %% tags=["exercise"]
def split_batch(x, heads):
    """[batch, n, D] to [batch, heads, n, D / heads]."""
    ...  # your turn


# %% tags=["check"]
@check(split_batch)
def a_head_has_its_own_columns(answer):
    """Head h of position p has columns h*d to (h+1)*d of row p."""
    x = np.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    found = answer(x, 4)
    assert np.shape(found) == (2, 4, 3, 2), "batch, heads, positions, features of a head"
    for b in range(2):
        for h in range(4):
            wanted = x[b, :, 2 * h : 2 * h + 2]
            assert np.array_equal(found[b, h], wanted), f"head {h}: columns {2 * h} and {2 * h + 1}"


# %% tags=["solution", "hide-input"]
def solution_1(x, heads):
    batch, n, width = x.shape
    return x.reshape(batch, n, heads, width // heads).transpose(0, 2, 1, 3)


a_head_has_its_own_columns(solution_1)

# %% [markdown]
# **Exercise 2.** How many numbers are learned in the attention of one block of GPT-2, biases
# included, and how many does the KV cache hold for each token in that block? Return both. Which of
# them depends on the number of heads?


# %% tags=["exercise"]
def attention_numbers(n_embd, n_head):
    """(learned numbers, cached numbers for each token) of one block."""
    ...  # your turn


# %% tags=["check"]
@check(attention_numbers)
def as_in_the_module(answer):
    """Against the real module of tiny, and GPT-2's sizes."""
    learned, cached = answer(128, 4)
    module = sum(p.numel() for p in hf.transformer.h[0].attn.parameters())
    assert learned == module, "c_attn is [D, 3 D] with 3 D biases, c_proj [D, D] with D"
    assert cached == 256, "a key and a value for each token"
    assert tuple(answer(768, 12)) == (2_362_368, 1536), "GPT-2 small"


# %% tags=["solution", "hide-input"]
def solution_2(n_embd, n_head):  # neither depends on the number of heads
    return 4 * n_embd * n_embd + 4 * n_embd, 2 * n_embd


as_in_the_module(solution_2)

# %% [markdown]
# **Exercise 3.** Newer models save cache by **grouped queries** (Ainslie et al. 2023,
# arXiv:2305.13245): several heads of queries share one head of keys and values. With 8 query heads
# and 2 key heads, queries 0 to 3 use the first, 4 to 7 the second. Write it, causal as always.


# %% tags=["exercise"]
def grouped_attention(q, k, v):
    """q [heads, n, d]; k, v [groups, n, d], heads a multiple of groups: [heads, n, d]."""
    ...  # your turn


# %% tags=["check"]
@check(grouped_attention)
def neighbours_share_a_key(answer):
    """With groups of one it is ordinary attention; else as PyTorch's enable_gqa."""
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(8, 5, 4)), rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 4))
    found = answer(q, k, v)
    assert np.shape(found) == (8, 5, 4), "a result for each head of queries"
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(torch.from_numpy(x)[None] for x in (q, k, v)), is_causal=True, enable_gqa=True
    )[0].numpy()
    assert np.allclose(found[:4], wanted[:4]), "heads 0 to 3 share the first key"
    assert np.allclose(found, wanted), "heads 4 to 7 share the second key: repeat, not tile"


# %% tags=["solution", "hide-input"]
def solution_3(q, k, v):
    k, v = (np.repeat(x, len(q) // len(x), axis=0) for x in (k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    return softmax(scores + causal_mask(q.shape[1])) @ v


neighbours_share_a_key(solution_3)

# %% [markdown]
# ## What to take along
#
# - Heads are columns: head $h$ has features $h d$ to $(h + 1) d$ of query, key and value. Reshape,
#   then transpose.
# - The output projection is a sum over heads, so that a head can be taken away, and its effect
#   measured.
# - The number of heads changes neither the learned numbers nor the operations, but what can be
#   attended to at once.
# - An attention map shows where a head looks. Whether that matters shows only when it is gone.
