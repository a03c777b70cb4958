# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 14. The KV cache
#
# Writing a text of 200 tokens means 200 passes through the model, and each pass works on everything
# written so far. Most of that work has been done before. After this chapter you will know
#
# - why keys and values of old tokens never change, and can be kept;
# - how to give a GPT-2 a cache in about twenty lines, and how to prove that it computes the same:
#   in float64, to 12 digits, however the tokens are cut into parts;
# - what a cache saves in operations, and what it costs in memory, in formulas and in seconds;
# - which mistakes caches have, and why the text often looks right all the same.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import time

import numpy as np
import torch

from bench.workload.work import work
from bench.workload.workload import Workload
from impl.tokenizer import Tokenizer
from reference.huggingface import load_model
from reference.load import TINY_FOLDER, load
from reference.oracle import Oracle
from reference.trace import Recorder
from verify.faults.cache import FAULTS
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

checkpoint = load("tiny")
config = checkpoint.config
oracle = Oracle(checkpoint)  # NumPy, float64
tokenizer = Tokenizer.load(TINY_FOLDER)
held_out = (TINY_FOLDER / "heldout.txt").read_text(encoding="utf-8")
ids = np.array([tokenizer.encode(held_out)[:48]])  # [1, 48]

# %% [markdown]
# ## What does not change
#
# In a causal model, what happens at position $t$ depends on positions $0 \ldots t$ alone. So when a
# token is appended, nothing at the earlier positions changes: not the residual stream, not the
# queries, not the keys, not the values. Let us look at the fused query, key and value of a block,
# computed for 30 tokens and for 48.

# %%
tap = "transformer.h.3.attn.c_attn"
short, long = oracle.trace(ids[:, :30])[tap], oracle.trace(ids)[tap]
print("largest change at the first 30 positions:", np.abs(long[:, :30] - short).max())
assert np.abs(long[:, :30] - short).max() < 1e-12

# %% [markdown]
# Which of these does the new token need? Its own query, since it is the one who asks, and the keys
# and values of all positions up to its own:
#
# $$
# \mathrm{out}_t = \sum_{s \le t} w_s\, v_s, \qquad
# w_s = \frac{\exp(q_t \cdot k_s / \sqrt{d})}{\sum_{r \le t} \exp(q_t \cdot k_r / \sqrt{d})}
# $$
#
# Queries of old tokens are never needed again. Everything else in the block (layer norms, linear
# layers, the MLP) works on each position alone. Hence: keep keys and values, throw away the rest.
#
# ## A cache in twenty lines
#
# `reference/oracle.py` is a GPT-2 in NumPy, written so that a variant is a subclass that replaces a
# method. A cache changes three of them: the positions go on where they ended, attention reads the
# buffers, and the mask is a slice of the large triangle.


# %%
class WithCache(Oracle):
    """A GPT-2 that remembers keys and values; `read` takes further tokens."""

    def __init__(self, checkpoint, batch=1, dtype=np.float64):
        super().__init__(checkpoint, dtype)
        shape = config.n_layer, batch, config.n_head, config.n_positions, config.head_dim
        self.keys, self.values = np.zeros(shape, dtype), np.zeros(shape, dtype)
        self.past = 0  # tokens that were read

    def read(self, ids):
        """Logits [batch, new, vocab_size] of new tokens [batch, new]."""
        self.tap = Recorder()
        logits = self.language_model(ids)
        self.past += ids.shape[1]
        return logits

    def positions(self, ids):
        """Those after what was read: [1, new]."""
        return self.past + np.arange(ids.shape[1])[None]

    def attend(self, fused, path):
        """Queries of the new tokens, keys and values of all tokens."""
        query, key, value = map(self.split_heads, np.split(fused, 3, axis=-1))
        layer, end = int(path.split(".")[2]), self.past + fused.shape[1]
        self.keys[layer][:, :, self.past : end] = key
        self.values[layer][:, :, self.past : end] = value
        keys, values = self.keys[layer][:, :, :end], self.values[layer][:, :, :end]
        scores = self.matmul(query, keys.swapaxes(-1, -2)) * self.scale(path)
        return self.merge_heads(self.matmul(self.softmax(self.masked(scores)), values))

    def masked(self, scores):
        """Row i of the new tokens is position past + i: it sees the keys up to that one."""
        new, total = scores.shape[-2:]
        ahead = np.triu(np.ones((total, total), bool), k=1)[total - new :]
        return np.where(ahead, -np.inf, scores)


# %% [markdown]
# ## Is it the same model?
#
# The logits of all parts together must be those of the whole text at once, whatever the parts are.
# In float64 there is nothing to hide behind: a wrong position or a wrong mask is off by whole
# numbers, rounding by about $10^{-14}$.


# %%
def read_in_parts(model, ids, sizes):
    """Logits of every position, read in parts of these sizes."""
    parts = np.split(ids, np.cumsum(sizes)[:-1], axis=1)
    return np.concatenate([model.read(part) for part in parts], axis=1)


whole = oracle.trace(ids)["lm_head"]
ways = {
    "all at once": [48],
    "prompt of 20, then token by token": [20] + [1] * 28,
    "token by token": [1] * 48,
    "uneven parts": [7, 1, 12, 3, 25],
}
for name, sizes in ways.items():
    off = np.abs(read_in_parts(WithCache(checkpoint), ids, sizes) - whole).max()
    print(f"{name:34} largest difference {off:.1e}")
    assert off < 1e-12

# %% [markdown]
# And transformers, in float64, with its own cache:

# %%
hf = load_model(checkpoint, torch.float64)
with torch.inference_mode():
    prompt = hf(torch.from_numpy(ids[:, :20]), use_cache=True)
    step = hf(
        torch.from_numpy(ids[:, 20:21]), past_key_values=prompt.past_key_values, use_cache=True
    )
off = np.abs(step.logits[0, -1].numpy() - whole[0, 20]).max()
print(f"transformers with its cache, token 20: largest difference {off:.1e}")
assert off < 1e-12

# %% [markdown]
# Read all at once, the difference is 0: the same operations in the same order. Read in parts it is
# not, because a product with one row and a product with 48 rows are other routines of BLAS, which
# sum in other orders. In float32 the same effect is about $10^{-5}$, and it can decide which of two
# nearly equal tokens is the best one. "The cache changes nothing" is true of the mathematics, and
# not of the last digits. [Chapter 15](ch15_is_it_right.py) is about those.

# %%
in_float32 = [
    read_in_parts(WithCache(checkpoint, dtype=np.float32), ids, sizes) for sizes in ways.values()
]
print("float32: largest difference between the ways", np.ptp(in_float32, axis=0).max())

# %% [markdown]
# ## What it saves, and what it costs
#
# Count multiplications and additions, two for each weight that a token meets. With $L$ layers,
# width $D$ and a vocabulary of $V$, a token costs $2\,(12 L D^2)$ in the linear layers of the
# blocks and $2 V D$ in the head, and attention $4 D$ per layer and key. After $n$ tokens the next
# one costs
#
# | | linear layers | attention | head |
# |---|---|---|---|
# | without a cache | $24 L D^2 (n + 1)$ | $4 L D (n + 1)^2$ | $2 V D$ |
# | with a cache | $24 L D^2$ | $4 L D (n + 1)$ | $2 V D$ |
#
# (The head needs the last position alone.) A text of $N$ tokens takes about $N^2/2$ token passes
# without a cache and $N$ with it. The price is memory: two numbers, key and value, for each layer
# and feature and token, $2 L D$ in all.


# %%
def step_flops(config, n, cached):
    """Operations for the token after n others; every score is computed, masked ones too."""
    layers, width = config.n_layer, config.n_embd
    new = 1 if cached else n + 1
    return (
        24 * layers * width**2 * new
        + 4 * layers * width * new * (n + 1)
        + 2 * config.vocab_size * width
    )


one_step = Workload(batch=1, n_gen=1, n_depth=100)
assert step_flops(config, 100, cached=True) == work(config, one_step, "float32").flops
uncached = work(config, one_step, "float32", kv_cache=False)
assert step_flops(config, 100, cached=False) == uncached.flops_executed

print(f"after 100 tokens: {uncached.flops_executed / step_flops(config, 100, cached=True):.0f} "
      "times the operations without a cache")  # fmt: skip

# %% [markdown]
# The two assertions compare with `bench/workload/work.py`, by which the benchmark computes how near
# to the machine's limits a model is.
#
# With a cache the operations of a step hardly grow, and something else limits the speed: every
# weight must be read from memory once for each token, and so must the cache. For one row the
# weights dominate. For many rows or long texts the cache does, since it cannot be shared between
# rows as weights can. [Chapter 16](ch16_is_it_fast.py) counts both.

# %%
MODELS = {  # layers, width of keys and values, parameters in millions
    "tiny": (6, 128, 1.35),
    "GPT-2": (12, 768, 124),
    "GPT-2 XL": (48, 1600, 1558),
    "Llama 3 8B": (32, 1024, 8030),  # 8 heads of 128 for keys and values, shared by 32 for queries
}
for name, (layers, width, millions) in MODELS.items():
    per_token = 2 * layers * width * 2
    as_many = millions * 1e6 * 2 / per_token
    print(f"{name:11} {per_token / 1024:6.0f} KiB a token in 16 bits; "
          f"{as_many:8,.0f} tokens take as much memory as the weights")  # fmt: skip

# %% [markdown]
# ## Measured
#
# One step with and without a cache after $n$ tokens, in float32. The two take *turns*, and the
# fastest of their turns counts, so that whatever else the machine does meanwhile hits both
# ([chapter 16](ch16_is_it_fast.py) says why).

# %%
lengths = [16, 48, 96, 160, 240]
text = np.array([tokenizer.encode(held_out)[: max(lengths) + 1]])
plain = Oracle(checkpoint, np.float32)
cached = WithCache(checkpoint, dtype=np.float32)
cached.read(text)  # fills the buffers; a step overwrites its own slot with the same numbers


def step_with(n):
    """The token after n others, from the cache."""
    cached.past = n
    cached.read(text[:, n : n + 1])


def step_without(n):
    """The same from all tokens."""
    plain.tap = Recorder()
    plain.language_model(text[:, : n + 1])


seconds = {"without a cache": [], "with a cache": []}
for n in lengths:
    fastest = dict.fromkeys(seconds, np.inf)
    for _ in range(4):
        for name, step in (("without a cache", step_without), ("with a cache", step_with)):
            start = time.perf_counter()
            step(n)
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    for name, found in fastest.items():
        seconds[name].append(found)
    print(f"after {n:3} tokens: " + ", ".join(f"{1e3 * s:6.1f} ms {k}" for k, s in fastest.items()))

# %%
drawn, (left, right) = figure(1, 2, size=(7.5, 2.9))
at = np.arange(1, config.n_positions)
for name, cached in (("without a cache", False), ("with a cache", True)):
    left.plot(at, [step_flops(config, n, cached) / 1e6 for n in at], label=name)
    right.plot(lengths, [1e3 * s for s in seconds[name]], "o-", label=name)
left.set_yscale("log")
left.set(xlabel="tokens before", ylabel="MFLOP for the next token", title="Counted")
right.set_yscale("log")
right.set(xlabel="tokens before", ylabel="ms for the next token", title="Measured, NumPy, float32")
right.legend()
show(drawn, "Operations and time of a step with and without a cache, over the tokens before it")

# %% [markdown]
# The time falls by less than the count: a step with a cache is so small here that calling NumPy a
# few hundred times takes longer than the arithmetic.
#
# ## How caches go wrong
#
# `verify/faults/cache.py` lists mistakes, most of which really shipped, and where. We plant every
# one of them in a cached model, read a text in the same parts, and compare logits position by
# position.

# %%
two_rows = np.array([tokenizer.encode(held_out)[i : i + 24] for i in (0, 200)])  # [2, 24]
truth = oracle.trace(two_rows)["lm_head"]
sizes = [12, 4, 1, 1, 1, 1, 1, 1, 1, 1]


def deviations(model):
    """Largest difference of the logits at each position, and the share of equal choices."""
    with np.errstate(invalid="ignore"):
        found = read_in_parts(model, two_rows, sizes)
    same = (found.argmax(-1) == truth.argmax(-1))[:, 12:].mean()
    return np.abs(found - truth).max(axis=(0, 2)), same


rows = {"right": deviations(WithCache(checkpoint, batch=2))}
for fault in FAULTS:
    rows[fault.found] = deviations(fault.planted(oracle))


class OtherRow(WithCache):
    """A batch whose rows were put in another order, and the cache was not."""

    def attend(self, fused, path):
        if self.past == 12:
            layer = int(path.split(".")[2])
            self.keys[layer] = self.keys[layer][::-1].copy()
            self.values[layer] = self.values[layer][::-1].copy()
        return super().attend(fused, path)


rows["the cache of another row"] = deviations(OtherRow(checkpoint, batch=2))
for name, (off, same) in rows.items():
    print(f"{name:50} off by {np.nanmax(off):7.1e}; {same:4.0%} of the choices are the same")
    assert (np.nanmax(off) < 1e-12) == (name == "right")

# %%
drawn, axes = figure(size=(7.5, 2.9))
heatmap(
    axes,
    np.log10([np.maximum(off, 1e-16) for off, _ in rows.values()]),
    rows=list(rows),
    title="log10 of the largest error of the logits",
    vmin=-16,
    vmax=2,
)
axes.set_xlabel("position: 12 read at once, then 4, then one by one")
show(drawn, "A heat map: the error of the logits at each position for each mistake of a cache")

# %% [markdown]
# Two things are worth seeing.
#
# 1. *Many choices stay the same.* With padding counted as positions nineteen in twenty do, with
#    another layer's cache three in four. What was read at once is right, the newest token is right,
#    and a language model forgives much: the text goes on in good English. Only a comparison of
#    numbers shows the fault.
# 2. *How the text is read decides what can be seen.* Most of these do no harm to the first twelve
#    positions, which were read at once. And a test that decodes one token at a time never needs a
#    mask: the newest token may see everything. A mask that is forgotten altogether shows only where
#    several tokens are read after others:


# %%
class NoMask(WithCache):
    """Hides nothing once something has been read."""

    def masked(self, scores):
        return super().masked(scores) if self.past == 0 else scores


for name, sizes_read in (("one by one", [12] + [1] * 12), ("in parts", [12, 4, 8])):
    off = np.abs(read_in_parts(NoMask(checkpoint, batch=2), two_rows, sizes_read) - truth).max()
    print(f"a forgotten mask, read {name:10}: off by {off:.1e}")
    assert (off < 1e-12) == (name == "one by one")

# %% [markdown]
# `python -m verify` therefore reads the same tokens in three ways through every engine with a cache
# (one by one, in growing parts, in a batch whose rows have other lengths) and judges each position
# against the whole in float64.
#
# ## In MAX
#
# - `impl/engine.py` holds one buffer for each layer and writes new keys and values in place, as we
#   did. The same compiled program reads a prompt and decodes, since the number of new tokens is a
#   symbol of the graph.
# - Buffers as long as the longest text waste memory when many requests share a machine. MAX Serve
#   keeps the cache in *pages* of 128 tokens, and a table says which pages belong to which request
#   (Kwon et al. 2023). Requests that begin alike can share pages.
# - The fourteenth step of the course gives your own model a cache:
#   `python -m verify step 14 --explain`.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Attention of one new token. `query` is `[H, K]`, `keys` and `values` are
# `[H, n, K]`, the new token's own among them. Return what the heads mix, `[H, K]`.


# %% tags=["exercise"]
def attend_one(query, keys, values): ...  # your turn


# %% tags=["check"]
@check(attend_one)
def equals_the_last_row(answer):
    """The last row of attention over the whole."""
    rng = np.random.default_rng(0)
    query, keys, values = (rng.normal(size=(4, 7, 8)) for _ in range(3))
    found = answer(query[:, -1], keys, values)
    assert np.shape(found) == (4, 8), f"the result is [heads, features], not {np.shape(found)}"
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(torch.from_numpy(x) for x in (query, keys, values)), is_causal=True
    )
    off = np.abs(found - wanted[:, -1].numpy()).max()
    assert off < 1e-12, f"off by {off:.2g}: softmax over the keys of q k / sqrt(K), times values"


# %% tags=["solution", "hide-input"]
def attend_one_solution(query, keys, values):
    scores = np.einsum("hk,hnk->hn", query, keys) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hn,hnk->hk", weights, values)


equals_the_last_row(attend_one_solution)

# %% [markdown]
# **Exercise 2.** The mask for a part. After `past` tokens, `new` tokens are read at once. Return a
# boolean array `[new, past + new]` that is True where a key must be hidden.


# %% tags=["exercise"]
def mask_of_part(past, new): ...  # your turn


# %% tags=["check"]
@check(mask_of_part)
def hides_what_lies_ahead(answer):
    """Against the rows of the large triangle."""
    for past, new in ((0, 4), (5, 1), (5, 3), (1, 6)):
        found = np.asarray(answer(past, new))
        assert found.shape == (new, past + new), f"for ({past}, {new}) the shape is {found.shape}"
        assert found.dtype == bool, "True where hidden, False where not"
        for row in range(new):
            hidden = np.flatnonzero(found[row]).tolist()
            wanted = list(range(past + row + 1, past + new))
            assert hidden == wanted, (
                f"past={past}, new={new}: row {row} is position {past + row} "
                f"and hides keys {hidden}; it must hide {wanted}"
            )


# %% tags=["solution", "hide-input"]
def mask_of_part_solution(past, new):
    return np.arange(past + new)[None, :] > past + np.arange(new)[:, None]


hides_what_lies_ahead(mask_of_part_solution)

# %% [markdown]
# **Exercise 3.** How many requests fit? A device has `free` bytes left beside the weights. Each
# request may grow to `tokens` tokens; keys and values have `kv_heads` heads of `head_dim` features
# in each of `layers` layers, `element_bytes` bytes each. The cache is handed out in pages of 128
# tokens, and a page belongs to one request.


# %% tags=["exercise"]
def requests_that_fit(free, tokens, layers, kv_heads, head_dim, element_bytes): ...  # your turn


# %% tags=["check"]
@check(requests_that_fit)
def counts_whole_pages(answer):
    """Keys and values, whole pages, whole requests."""
    found = answer(2**30, 1024, 32, 8, 128, 2)
    assert found != 16, "a token has a key and a value"
    assert found == 8, f"1 GiB holds 8 requests of 1,024 tokens of Llama 3 8B, not {found}"
    found = answer(2**30, 900, 32, 8, 128, 2)
    assert found == 8, f"900 tokens take eight whole pages of 128, so that 8 fit, not {found}"
    found = answer(2**30, 1025, 32, 8, 128, 2)
    assert found == 7, f"1,025 tokens take nine pages of 128, so that 7 fit, not {found}"
    assert answer(10**6, 128, 12, 12, 64, 4) == 0, "less than one request is none"


# %% tags=["solution", "hide-input"]
def requests_that_fit_solution(free, tokens, layers, kv_heads, head_dim, element_bytes):
    pages = -(-tokens // 128)
    return free // (pages * 128 * 2 * layers * kv_heads * head_dim * element_bytes)


counts_whole_pages(requests_that_fit_solution)

# %% [markdown]
# ## What to take along
#
# - A causal model's past does not change: keys and values are computed once and kept.
# - Positions go on, the mask is a slice, the newest keys are written before they are read. These
#   three lines are where caches go wrong.
# - Test a cache in float64 against the whole text, token by token *and* in parts *and* in batches.
#   The text alone will not tell you.
# - A step with a cache takes few operations and reads much memory: all weights, and two numbers for
#   each layer, feature and token.
#
# Source: W. Kwon et al., "Efficient memory management for large language model serving with
# PagedAttention" (2023).
