# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 3. The transformer as a whole
#
# After this chapter you have a map of GPT-2, have run all of it in forty lines of NumPy with the
# same logits as Hugging Face, and know the shape of everything that flows through it. You can say
# without running anything how many parameters a GPT-2 has and how many operations a token costs,
# and have checked both against the real module.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from impl.config import PRESETS
from impl.tokenizer import Tokenizer
from reference.huggingface import load_model
from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLUE, GREEN, ORANGE, figure, show

# %% [markdown]
# ## A map
#
# The first transformer (Vaswani et al. 2017, arXiv:1706.03762) translated: an *encoder* read a
# sentence, a *decoder* wrote the other one; [chapter 9](ch09_encoder_decoder.py) builds both. GPT-2
# (Radford et al. 2019) keeps the decoder alone, and reads and writes in one sequence. All of it
# hangs on one line, the **residual stream**: a vector of width $D$ for each position, to which
# every part adds something.

# %% tags=["hide-input"]
drawn, axes = figure(size=(6.2, 5.6))
axes.set(xlim=(0, 10), ylim=(-0.7, 11.6))
axes.axis("off")


def box(x, y, text, colour):
    """A part, with its name in the middle."""
    style = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": "0.5"}
    axes.text(x, y, text, ha="center", va="center", bbox=style)


def arrow(start, end):
    """Of the flow."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.35"})


stream, side = 3.4, 7.4
arrow((stream, 0.0), (stream, 11.0))
axes.text(stream + 0.15, 2.0, "residual stream [S, D]", fontsize=8, color="0.35")
box(stream, 0.0, "token ids [S]", "white")
box(stream, 1.2, "wte[ids] + wpe[0, 1, ...]", "#fbe3b9")
for bottom, norm, part in (
    (2.9, "ln_1", "attn: mixes positions"),
    (5.6, "ln_2", "mlp: each alone"),
):
    arrow((stream, bottom), (side - 0.5, bottom))
    box(side, bottom, norm, "#d5ecf9")
    arrow((side, bottom + 0.4), (side, bottom + 1.3))
    box(side, bottom + 1.7, part, "#bcd9ec" if norm == "ln_1" else "#bfe6da")
    arrow((side - 1.8, bottom + 1.7), (stream + 0.2, bottom + 1.7))
    plus = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "0.5"}
    axes.text(stream, bottom + 1.7, "+", ha="center", va="center", fontsize=12, bbox=plus)
axes.text(0.1, 5.1, "block,\n12 times\nin GPT-2\nsmall", va="center")
axes.plot([1.8, 1.6, 1.6, 1.8], [2.6, 2.6, 7.6, 7.6], color="0.35")
box(stream, 8.7, "ln_f", "#d5ecf9")
box(stream, 9.9, "times wte transposed", "#f1dbe8")
axes.text(stream, 11.2, "logits [S, V]", ha="center", va="center")
show(drawn, "GPT-2 from token ids through embeddings, blocks of attention and MLP, and the head")

# %% [markdown]
# With $S$ tokens and $x$ of shape $[S, D]$, a block is two lines:
#
# $$
# \begin{aligned}
# x &\leftarrow x + \mathrm{attn}(\mathrm{LN}_1(x)) \\
# x &\leftarrow x + \mathrm{mlp}(\mathrm{LN}_2(x))
# \end{aligned}
# $$
#
# Attention is the only part that looks at other positions ([chapters 4](ch04_self_attention.py) and
# [5](ch05_many_heads.py)); everything else works on each position alone. The order of tokens enters
# once, at the bottom ([chapter 6](ch06_positions.py)). The MLP and its GELU, and the layer norm,
# have chapters [7](ch07_feed_forward_gelu.py) and [8](ch08_layer_norm_residuals.py).
#
# ## All of it, in NumPy
#
# Here is the whole model. Names are Hugging Face's. Read it once from top to bottom now; every line
# has its chapter.


# %%
def softmax(x):
    """Over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x):
    """The tanh form, which GPT-2 was trained with."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


class GPT2:
    """weights: by Hugging Face's names; heads: of each block."""

    def __init__(self, weights, heads):
        self.w = {name.removeprefix("transformer."): a.astype(float) for name, a in weights.items()}
        self.heads = heads
        self.blocks = len({name.split(".")[1] for name in self.w if name.startswith("h.")})

    def linear(self, x, name):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def layer_norm(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return normal * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def attention(self, x, name):
        n, width = x.shape
        fused = self.linear(x, f"{name}.c_attn").reshape(n, 3, self.heads, width // self.heads)
        q, k, v = fused.transpose(1, 2, 0, 3)  # [heads, n, d] each
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width // self.heads)
        weights = softmax(np.where(np.tri(n, dtype=bool), scores, -np.inf))
        mixed = (weights @ v).transpose(1, 0, 2).reshape(n, width)
        return self.linear(mixed, f"{name}.c_proj")

    def block(self, x, name):
        x = x + self.attention(self.layer_norm(x, f"{name}.ln_1"), f"{name}.attn")
        wide = gelu(self.linear(self.layer_norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc"))
        return x + self.linear(wide, f"{name}.mlp.c_proj")

    def logits(self, ids):
        """ids [S] to [S, V]."""
        x = self.w["wte.weight"][ids] + self.w["wpe.weight"][: len(ids)]
        for i in range(self.blocks):
            x = self.block(x, f"h.{i}")
        return self.layer_norm(x, "ln_f") @ self.w["wte.weight"].T


# %% [markdown]
# It runs with the weights of `tiny`, the small trained GPT-2 that lies in this repository. Beside
# it: the project's reference in NumPy, which is another program, and Hugging Face's
# `GPT2LMHeadModel` in float64. Three programs, one function:

# %%
checkpoint = load("tiny")
tokenizer = Tokenizer.load(checkpoint.folder)
model = GPT2(checkpoint.weights, checkpoint.config.n_head)
prompt = "In the beginning God created the heaven and the"
ids = np.array(tokenizer.encode(prompt))

ours = model.logits(ids)
trace = Oracle(checkpoint).trace(ids[None])
with torch.inference_mode():
    theirs = load_model(checkpoint, torch.float64)(torch.from_numpy(ids)[None]).logits[0].numpy()
np.testing.assert_allclose(ours, trace["lm_head"][0], rtol=0, atol=1e-12)
np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
print("largest difference to Hugging Face:", np.abs(ours - theirs).max())

probability = softmax(ours[-1])
for token in probability.argsort()[::-1][:4]:
    print(f"{probability[token]:6.1%}  {tokenizer.decode([token])!r}")

# %% [markdown]
# ## Shapes
#
# What flows, part by part, in a batch of $B = 1$ with $S$ tokens. Nothing but the width changes on
# the way: up to $3D$ for query, key and value, to $4D$ in the MLP, and to $V$ at the end.

# %%
for tap, array in trace.items():
    if ":" not in tap and not tap.startswith(tuple(f"transformer.h.{i}" for i in range(1, 6))):
        print(f"{tap.removeprefix('transformer.'):<16} {list(array.shape)}")

# %% [markdown]
# ## Parameters
#
# A linear layer from $a$ to $b$ has $a b$ weights and $b$ biases, a layer norm has $2 D$. With $V$
# tokens, $P$ positions and $L$ blocks:
#
# $$
# \begin{aligned}
# N &= \underbrace{V D + P D}_{\text{embeddings}} +
# L \, (\underbrace{4 D^2 + 4 D}_{\text{attention}} + \underbrace{8 D^2 + 5 D}_{\text{MLP}} +
# \underbrace{4 D}_{\text{norms}}) + 2 D \\
# &= (V + P) D + L \, (12 D^2 + 13 D) + 2 D
# \end{aligned}
# $$
#
# The head is not counted: it uses the table of the token embeddings once more.


# %%
def parameters_by_part(config):
    """Learned numbers of each part."""
    D, L = config.n_embd, config.n_layer
    return {
        "token embeddings": config.vocab_size * D,
        "position embeddings": config.n_positions * D,
        "attention": L * (4 * D * D + 4 * D),
        "MLP": L * (8 * D * D + 5 * D),
        "layer norms": (2 * L + 1) * 2 * D,
    }


def real_module(config):
    """Hugging Face's module of that size, without memory for its weights."""
    sizes = {name: getattr(config, name) for name in SIZES}
    no_ids = {"bos_token_id": None, "eos_token_id": None}
    made = transformers.GPT2Config(**sizes, **no_ids, attn_implementation="eager")
    with torch.device("meta"):
        return transformers.GPT2LMHeadModel(made).eval()


SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
for name, config in PRESETS.items():
    counted = sum(parameters_by_part(config).values())
    real = sum(p.numel() for p in real_module(config).parameters())
    print(f"{name:<12} {counted:>13,} by the formula, {real:>13,} in the module")
    assert counted == real

# %% [markdown]
# In float32 each takes 4 bytes: GPT-2 small is 498 MB, of which nearly a third is the table of
# tokens. Both figures matter for speed: a decode step reads every weight once ([chapter
# 16](ch16_is_it_fast.py)).
#
# ## Operations
#
# A product of matrices $[a, b]$ and $[b, c]$ takes $2abc$ floating-point operations (FLOPs): a
# multiplication and an addition for each triple. So a linear layer costs twice its weights for each
# token, and attention adds two products over all pairs of positions. For each of $S$ tokens:
#
# $$
# \frac{\mathrm{FLOPs}}{\mathrm{token}} =
# L \, (\underbrace{24 D^2}_{\text{linear layers}} + \underbrace{4 S D}_{\text{attention}}) +
# \underbrace{2 D V}_{\text{head}}
# $$
#
# PyTorch can count what the real module asks for, without computing it; here for GPT-2 small:


# %%
def flops_by_part(config, n):
    """Of one forward pass over n tokens, products of matrices alone."""
    D, L = config.n_embd, config.n_layer
    return {
        "linear layers": n * L * 24 * D * D,
        "attention": n * L * 4 * n * D,
        "head": n * 2 * D * config.vocab_size,
    }


def counted_by_torch(config, n):
    """FLOPs of Hugging Face's module."""
    module = real_module(config)
    with FlopCounterMode(display=False) as counter:
        tokens = torch.zeros(1, n, dtype=torch.long, device="meta")
        mask = torch.zeros(1, 1, n, n, device="meta")
        module(tokens, attention_mask=mask, use_cache=False)
    return counter.get_total_flops()


for n in (1, 128, 1024):
    formula = sum(flops_by_part(PRESETS["gpt2"], n).values())
    assert formula == counted_by_torch(PRESETS["gpt2"], n)
    print(f"{n:>4} tokens: {formula / 1e9:6.2f} GFLOPs, {formula / n / 1e6:.0f} million a token")

# %% [markdown]
# The count is exact. It takes the whole square of scores, as this module computes it; a kernel that
# skips the masked half needs half of that part. The old rule "two FLOPs for each parameter and
# token" is near as long as the text is short: the embedding tables are looked up and not
# multiplied, while the head multiplies one of them.

# %%
gpt2 = PRESETS["gpt2"]
lengths = np.array([1, 16, 64, 256, 1024, 4096, 16384])
shares = np.array([list(flops_by_part(gpt2, n).values()) for n in lengths], float)
shares /= shares.sum(axis=1, keepdims=True)

drawn, (left, right) = figure(1, 2, size=(7.5, 3.0))
parts = parameters_by_part(gpt2)
left.barh(list(parts), [count / 1e6 for count in parts.values()], color=BLUE)
left.invert_yaxis()
left.set(title="GPT-2 small: parameters, millions")
right.stackplot(
    lengths, shares.T, labels=list(flops_by_part(gpt2, 1)), colors=[BLUE, ORANGE, GREEN], alpha=0.8
)
right.set(title="share of the FLOPs", xlabel="tokens", xscale="log", ylim=(0, 1))
right.legend(loc="lower left", frameon=True)
show(drawn, "Parameters by part, and the share of FLOPs: attention grows with the length")

# %% [markdown]
# At 1,024 tokens, the end of GPT-2's table, attention's products over pairs are still a minor part:
# the linear layers do the work. With ten times the length it is the other way round.
#
# ## Exercises
#
# **Exercise 1.** From parameters back to sizes: which width $D$ has a GPT-2 with $L$ blocks, $V$
# tokens and $P$ positions that has $N$ parameters in all? Return the whole number that fits
# exactly.


# %% tags=["exercise"]
def width_of(N, L, V, P):
    """The width D."""
    ...  # your turn


# %% tags=["check"]
@check(width_of)
def the_published_widths(answer):
    """All sizes of GPT-2."""
    for name, config in PRESETS.items():
        N = sum(parameters_by_part(config).values())
        found = answer(N, config.n_layer, config.vocab_size, config.n_positions)
        assert found == config.n_embd, f"{name} has a width of {config.n_embd}"


# %% tags=["solution", "hide-input"]
def solution_1(N, L, V, P):
    b = V + P + 13 * L + 2  # 12 L D^2 + b D = N
    return round((-b + np.sqrt(b * b + 48 * L * N)) / (24 * L))


the_published_widths(solution_1)

# %% [markdown]
# **Exercise 2.** With a KV cache, a decode step computes *one* new token, whose query meets the
# keys of `cached` earlier tokens and its own. How many FLOPs is that? (`flops_by_part` counts `n`
# queries that meet `n` keys each.)


# %% tags=["exercise"]
def flops_of_a_step(config, cached):
    """A whole number."""
    ...  # your turn


# %% tags=["check"]
@check(flops_of_a_step)
def one_token_through_everything(answer):
    """The first step is a forward pass of one token; each cached one adds its pairs."""
    gpt2 = PRESETS["gpt2"]
    assert answer(gpt2, 0) == sum(flops_by_part(gpt2, 1).values()), "nothing cached: one token"
    added = answer(gpt2, 100) - answer(gpt2, 99)
    assert added == 12 * 4 * 768, "one more key: 2 D for its score and 2 D for its value, 12 times"


# %% tags=["solution", "hide-input"]
def solution_2(config, cached):
    D, L = config.n_embd, config.n_layer
    return L * (24 * D * D + 4 * (cached + 1) * D) + 2 * D * config.vocab_size


one_token_through_everything(solution_2)

# %% [markdown]
# **Exercise 3.** Since every part adds to one stream, the head can read it anywhere: after $k$
# blocks, apply `ln_f` and the head, and see what the model would say so far. This is the **logit
# lens** (nostalgebraist 2020). Write it with the methods of `GPT2` above.


# %% tags=["exercise"]
def logits_after(model, ids, k):
    """ids [S]: the logits [S, V] after k of the blocks."""
    ...  # your turn


# %% tags=["check"]
@check(logits_after)
def all_blocks_are_the_model(answer):
    """After all blocks it is the model itself, after none the embeddings alone."""
    found = answer(model, ids, 6)
    assert np.shape(found) == (len(ids), 1024), "a score for each position and token"
    assert np.allclose(found, ours), "after all six blocks: the model's own logits"
    start = trace["transformer.h.0:input"][0]
    wanted = model.layer_norm(start, "ln_f") @ model.w["wte.weight"].T
    assert np.allclose(answer(model, ids, 0), wanted), "after none: embeddings, ln_f, head"
    middle = model.layer_norm(trace["transformer.h.2"][0], "ln_f") @ model.w["wte.weight"].T
    assert np.allclose(answer(model, ids, 3), middle), "after three: blocks 0, 1 and 2"


# %% tags=["solution", "hide-input"]
def solution_3(model, ids, k):
    x = model.w["wte.weight"][ids] + model.w["wpe.weight"][: len(ids)]
    for i in range(k):
        x = model.block(x, f"h.{i}")
    return model.layer_norm(x, "ln_f") @ model.w["wte.weight"].T


all_blocks_are_the_model(solution_3)
for k in range(7):
    best = solution_3(model, ids, k)[-1].argmax()
    print(f"after {k} blocks, {prompt[-12:]!r} goes on with {tokenizer.decode([best])!r}")

# %% [markdown]
# ## What to take along
#
# - One residual stream; attention and MLP read a normalised copy of it and add to it.
# - $12 D^2$ weights in a block, a third of them in attention, two thirds in the MLP; the table of
#   tokens is used twice.
# - Two FLOPs for each weight and token, and $4 S D$ more for attention in each block.
# - A whole GPT-2 is forty lines. What fills the rest of this project is knowing that they are
#   right, and making them fast.
