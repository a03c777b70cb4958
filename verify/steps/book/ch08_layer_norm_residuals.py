# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 8. Layer normalisation and residuals
#
# Attention and the feed-forward layer do the work. Two small things around them make it possible
# to stack many of them: a normalisation in front, and a sum around. After this chapter you know
#
# - layer normalisation and its gradient, both written by hand and checked;
# - what becomes of signals and gradients in a deep stack with and without normalisation and
#   residuals, and which of the stacks learn anything;
# - why GPT-2 normalises before each part ("pre-norm") where the first transformer did it
#   afterwards ("post-norm");
# - three details that ports get wrong: the divisor of the variance, epsilon, and how the variance
#   is computed in float32.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch
from torch.nn import functional as F

from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

torch.set_num_threads(1)
rng = np.random.default_rng(8)

# %% [markdown]
# ## Layer normalisation
#
# For each position alone, over its $D$ features:
#
# $$
# \hat x = \frac{x - \mu}{s}, \qquad \mu = \frac1D\sum_i x_i, \qquad
# s = \sqrt{\frac1D\sum_i (x_i - \mu)^2 + \varepsilon}, \qquad y = \hat x \odot w + b
# $$
#
# $w$ (called `weight`) and $b$ (`bias`) are learned, one number for each feature; $\odot$
# multiplies feature by feature. The statistics are taken within one position, so that neither the
# other positions nor the other texts of a batch matter. (Batch normalisation, its older relative,
# takes them over the batch, which is why it behaves differently in training and afterwards.)


# %%
def layer_norm(x, weight, bias, eps=1e-5):
    """x [..., D], weight and bias [D]: the result, and what the backward pass needs."""
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    x_hat = centred / s
    return x_hat * weight + bias, (x_hat, s)


B, S, D = 2, 5, 64
x = 3 + 2 * rng.normal(size=(B, S, D))
weight, bias = rng.normal(size=D), rng.normal(size=D)
y, (x_hat, s) = layer_norm(x, weight, bias)
np.testing.assert_allclose(x_hat.mean(-1), 0, atol=1e-14)
np.testing.assert_allclose(x_hat.var(-1), 1, atol=1e-5)  # not 1e-14: epsilon takes a little

of_x, of_weight, of_bias = map(torch.from_numpy, (x, weight, bias))
theirs = F.layer_norm(of_x, (D,), of_weight, of_bias)
np.testing.assert_allclose(y, theirs.numpy(), atol=1e-12)

# %% [markdown]
# ## Its gradient, by hand
#
# Let $g = \partial L / \partial y$ come from above. The learned parameters are easy: sums over all
# positions,
#
# $$
# \frac{\partial L}{\partial w} = \sum g \odot \hat x, \qquad
# \frac{\partial L}{\partial b} = \sum g .
# $$
#
# For $x$, let $h = g \odot w = \partial L / \partial \hat x$, and let $c = x - \mu$, so that
# $\hat x = c / s$ with $s = \sqrt{\overline{c^2} + \varepsilon}$ (a bar is the mean over features).
# $c_i$ acts on its own $\hat x_i$, and through $s$ on all of them. With
# $\partial s / \partial c_i = c_i / (D s)$,
#
# $$
# \frac{\partial L}{\partial c_i}
# = \frac{h_i}{s} - \sum_j h_j \frac{c_j}{s^2} \cdot \frac{c_i}{D s}
# = \frac1s\left(h_i - \hat x_i\, \overline{h \odot \hat x}\right).
# $$
#
# And $x_i$ acts on its own $c_i$, and through $\mu$ on all of them, which takes the mean away:
#
# $$
# \frac{\partial L}{\partial x} =
# \frac1s\left(h - \overline{h} - \hat x\;\overline{h \odot \hat x}\right)
# $$
#
# (The mean of $\hat x$ is 0, so the last term has none to take away.) Nothing was neglected:
# $\varepsilon$ is inside $s$.


# %%
def layer_norm_backward(g, weight, saved):
    """g [..., D] = dL/dy: the gradients of x, weight and bias."""
    x_hat, s = saved
    h = g * weight
    along = (h * x_hat).mean(axis=-1, keepdims=True)
    dx = (h - h.mean(axis=-1, keepdims=True) - x_hat * along) / s
    positions = tuple(range(g.ndim - 1))
    return dx, (g * x_hat).sum(positions), g.sum(positions)


g = rng.normal(size=(B, S, D))
by_hand = layer_norm_backward(g, weight, (x_hat, s))

tensors = [tensor.requires_grad_() for tensor in (of_x, of_weight, of_bias)]
F.layer_norm(of_x, (D,), of_weight, of_bias).backward(torch.from_numpy(g))
for ours, tensor in zip(by_hand, tensors, strict=True):
    np.testing.assert_allclose(ours, tensor.grad.numpy(), atol=1e-12)

# %% [markdown]
# The formula has a meaning. Adding a constant to all features changes nothing in the output, nor
# does stretching $x - \mu$ (but for $\varepsilon$). So no gradient may point in these two
# directions, and the two subtractions take out exactly those parts. And everything is divided by
# $s$: **the larger the input, the smaller the gradient that passes**. This will matter below.

# %%
dx, _, _ = layer_norm_backward(g, weight, (x_hat, s))
np.testing.assert_allclose(dx.sum(-1), 0, atol=1e-12)
np.testing.assert_allclose((dx * x_hat).mean(-1), 0, atol=1e-5)  # epsilon again

larger, saved = layer_norm(10 * x, weight, bias)
np.testing.assert_allclose(larger, y, atol=1e-4)  # the same output
smaller_dx, _, _ = layer_norm_backward(g, weight, saved)
print(
    f"ten times the input: the gradient times {np.linalg.norm(smaller_dx) / np.linalg.norm(dx):.4f}"
)
np.testing.assert_allclose(smaller_dx * 10, dx, atol=1e-4)

# %% [markdown]
# ## Deep stacks
#
# Now a stack of 24 blocks, each with two parts $f$: attention (one head, to keep it short) and a
# feed-forward layer. There are five ways to stack them:
#
# | | each part does |
# |---|---|
# | plain | $x \leftarrow f(x)$ |
# | normalised | $x \leftarrow f(\mathrm{LN}(x))$ |
# | residual | $x \leftarrow x + f(x)$ |
# | post-norm | $x \leftarrow \mathrm{LN}(x + f(x))$, as in the first transformer |
# | pre-norm | $x \leftarrow x + f(\mathrm{LN}(x))$, as in GPT-2, with one more LN at the end |
#
# Weights are drawn so that each matrix keeps the size of a typical vector, $N(0, 1/\text{inputs})$.

# %%
WIDTH, TOKENS, LENGTH, BATCH = 32, 16, 16, 8


def normalised(x):
    return F.layer_norm(x, (WIDTH,))


def part(x, matrices):
    """Attention where there are four matrices, a feed-forward layer where there are two."""
    if len(matrices) == 2:
        return F.gelu(x @ matrices[0]) @ matrices[1]
    query, key, value = (x @ matrix for matrix in matrices[:3])  # [batch, length, width]
    weights = (query @ key.mT / WIDTH**0.5).softmax(-1)
    return weights @ value @ matrices[3]


STACKS = {
    "plain": lambda x, m: part(x, m),
    "normalised": lambda x, m: part(normalised(x), m),
    "residual": lambda x, m: x + part(x, m),
    "post-norm": lambda x, m: normalised(x + part(x, m)),
    "pre-norm": lambda x, m: x + part(normalised(x), m),
}
COLOURS = {kind: f"C{index}" for index, kind in enumerate(STACKS)}


class Stack:
    """Embeddings, `depth` blocks of one kind, and a head that scores tokens."""

    def __init__(self, kind, depth, dtype):
        self.kind, self.dtype = kind, dtype
        self.draw = torch.Generator().manual_seed(0)
        shapes = [[(1, 1)] * 4, [(1, 4), (4, 1)]] * depth  # in widths
        self.parts = [[self.matrix(*shape) for shape in pair] for pair in shapes]
        self.embedding = self.matrix(TOKENS / WIDTH, 1, scale=1.0)
        self.positions = self.matrix(LENGTH / WIDTH, 1, scale=1.0)
        self.head = self.matrix(1, TOKENS / WIDTH)

    def matrix(self, rows, columns, scale=None):
        rows, columns = int(rows * WIDTH), int(columns * WIDTH)
        drawn = torch.randn(rows, columns, generator=self.draw, dtype=torch.float64)
        return (drawn * (scale or rows**-0.5)).to(self.dtype).requires_grad_()

    def parameters(self):
        return [m for p in self.parts for m in p] + [self.embedding, self.positions, self.head]

    def forward(self, ids):
        """Token ids [batch, length]: the scores, and the stream in front of each part."""
        x, stream = self.embedding[ids] + self.positions, []
        for matrices in self.parts:
            stream.append(x)
            x = STACKS[self.kind](x, matrices)
        stream.append(x)
        return (normalised(x) if self.kind == "pre-norm" else x) @ self.head, stream

    def batch(self):
        return torch.randint(TOKENS, (BATCH, LENGTH), generator=self.draw)


def loss_of(scores, ids):
    """The task: at each position, say which token stood one position before."""
    return F.cross_entropy(scores.flatten(0, 1), ids.roll(1, dims=1).flatten())


# %% [markdown]
# Before any training, one batch forward and one gradient back. We look at two things along the
# depth: the gradient of the loss with respect to the stream, and how much the positions of a text
# still differ from their mean (as a share of their size).

# %%
gradients, spreads = {}, {}
for kind in STACKS:
    stack = Stack(kind, depth=24, dtype=torch.float64)
    ids = stack.batch()
    scores, stream = stack.forward(ids)
    for x in stream:
        x.retain_grad()
    loss_of(scores, ids).backward()
    gradients[kind] = [x.grad.norm().item() for x in stream]
    spreads[kind] = [((x - x.mean(1, keepdim=True)).norm() / x.norm()).item() for x in stream]
    print(
        f"{kind:10} size of the stream at the end {stream[-1].square().mean().sqrt():.1e},", end=" "
    )
    print(f"gradient first/last {gradients[kind][0] / gradients[kind][-1]:.1e},", end=" ")
    print(f"positions differ by {spreads[kind][-1]:.1e}")

# %%
drawn, (left, right) = figure(columns=2, size=(7.5, 3.1))
for kind in STACKS:
    left.semilogy(gradients[kind], label=kind, color=COLOURS[kind])
    right.semilogy(np.maximum(spreads[kind], 1e-17), label=kind, color=COLOURS[kind])
left.set_title("gradient of the loss, by depth")
right.set_title("difference between positions, by depth")
for axes in (left, right):
    axes.set_xlabel("parts before it (24 blocks have 48)")
left.legend(fontsize=7)
show(drawn, "Gradients and differences between positions over the depth of five kinds of stacks")

# %% [markdown]
# - **plain**: at each part the gradient shrinks by a constant factor, over seven powers of ten
#   from top to bottom. The first blocks learn nothing.
# - **residual** alone: the stream grows by a third with each part, since each is fed with what has
#   grown already. After 48 parts it is hundreds of thousands of times as large, and gradients
#   explode.
# - **normalised** alone has fine gradients and is worthless all the same, which is why one should
#   never look at gradients alone. Attention takes means; without the $x + \ldots$ nothing brings
#   back what a position was, and after five blocks all positions are equal, to the last bits. Dong
#   et al. (2021) call it the collapse of rank.
# - **post-norm** divides the sum by its size after each part, so that the share of what a position
#   was shrinks each time. After 24 blocks positions hardly differ.
# - **pre-norm** leaves the sum alone. The stream keeps the embedding for ever, parts add to it, and
#   the gradient has a straight way from the head to the embedding: $\partial x_{end} / \partial x$
#   contains the identity. As the stream grows, each part's gradient is divided by its size (the
#   $1/s$ above), gently.

# %%
assert gradients["plain"][0] < 1e-6 * gradients["plain"][-1]
assert gradients["residual"][0] > 1e6 * gradients["residual"][-1]
assert 1 < gradients["pre-norm"][0] / gradients["pre-norm"][-1] < 10
assert spreads["normalised"][-1] < 1e-12
assert spreads["post-norm"][-1] < 0.02 < 0.1 < spreads["pre-norm"][-1]

# %% [markdown]
# ## Do they learn?
#
# The proof is in training: 115 steps of Adam, with 8 blocks and with 3. A guess has the loss
# $\ln 16 = 2.77$.

# %%
LEARN_STEPS = 115


def train(kind, depth):
    stack = Stack(kind, depth, torch.float32)
    optimizer = torch.optim.Adam(stack.parameters(), lr=3e-3)
    losses = []
    for _ in range(LEARN_STEPS):
        ids = stack.batch()
        loss = loss_of(stack.forward(ids)[0], ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.convolve(losses, np.ones(10) / 10, mode="valid")  # means over ten steps


curves = {
    (kind, depth): train(kind, depth)
    for depth in (8, 3)
    for kind in ("plain", "post-norm", "pre-norm")
}
drawn, both = figure(columns=2, size=(7.5, 2.6))
for axes, depth in zip(both, (8, 3), strict=True):
    for kind in ("plain", "post-norm", "pre-norm"):
        axes.plot(curves[kind, depth], label=kind, color=COLOURS[kind])
    axes.set_title(f"{depth} blocks")
    axes.set_xlabel("step")
both[0].set_ylabel("loss")
both[0].legend()
show(
    drawn,
    "Loss over training steps: with ten blocks only pre-norm learns, with three post-norm too",
)
for (kind, depth), losses in curves.items():
    print(f"{depth:2} blocks, {kind:9}: {losses[0]:.2f} -> {losses[-1]:.2f}")
assert curves["pre-norm", 8][-1] < 1.2 < 2.6 < curves["post-norm", 8][-1]
assert curves["plain", 8][-1] > 2.6
assert curves["post-norm", 3][-1] < 1.6

# %% [markdown]
# With three blocks post-norm learns too, a little later. The first transformer had six blocks and
# needed a slow warm-up of the learning rate to be trained; at GPT-2's 12 to 48 blocks the norm went
# to the front of each part (Radford et al., 2019). GPT-2 also divides the initial weights of each
# `c_proj`, which writes to the stream, by $\sqrt{2 \cdot \text{blocks}}$, so that the stream is no
# larger at the end of a deep model than of a shallow one.

# %% [markdown]
# ## Detail 1: the divisor of the variance
#
# `np.var` divides by $D$, `torch.var` by $D - 1$ unless it is told otherwise. Layer normalisation
# divides by $D$. The wrong divisor scales every output by
# $\sqrt{(D-1)/D} \approx 1 - \frac{1}{2D}$: 0.4% in `tiny`, 0.07% in GPT-2.

# %%
centred = x_hat * s
wrong = centred / np.sqrt(centred.var(-1, ddof=1, keepdims=True) + 1e-5)
ratio = np.median(wrong / x_hat)
print(f"with D - 1: every output times {ratio:.6f}, expected {np.sqrt((D - 1) / D):.6f}")
np.testing.assert_allclose(ratio, np.sqrt((D - 1) / D), atol=1e-6)

# %% [markdown]
# ## Detail 2: epsilon
#
# $\varepsilon$ keeps a position whose features are all equal from dividing by 0. GPT-2's is
# $10^{-5}$; other models have $10^{-6}$ or $10^{-12}$. To first order, another $\varepsilon'$
# changes the output by the relative amount
# $|\varepsilon - \varepsilon'| / (2\,(\mathrm{var} + \varepsilon))$. So it matters where variances
# are small. How small are they in a trained model?

# %%
checkpoint = load("tiny")
oracle = Oracle(checkpoint)
ids = rng.integers(0, 1024, (4, 64))
trace = oracle.trace(ids)
norms = [f"transformer.h.{layer}.{name}" for layer in range(6) for name in ("ln_1", "ln_2")]
norms.append("transformer.ln_f")
changes = []
for norm in norms:
    variance = trace[f"{norm}:input"].var(-1)
    changes.append(0.5 * np.abs(1e-5 - 1e-6) / (variance + 1e-5))
    if norm in (norms[0], norms[1], norms[-1]):
        print(f"{norm[12:]:9} variance {variance.min():.4f} to {variance.max():.4f};", end=" ")
        print(f"1e-6 for 1e-5 changes its output by {changes[-1].max():.1e} at most")
rounding = 2.0**-24
assert changes[0].max() > 1000 * rounding
assert changes[-1].max() < 100 * rounding

# %% [markdown]
# In front of the first block the stream is a sum of two small embeddings, and epsilon is seen there
# clearly. At the end it has grown, and the same mistake is a few roundings of float32
# ($6 \cdot 10^{-8}$) in size. A test with one random input at one layer can miss it. This project
# checks every layer, and in float64, where a wrong epsilon stands ten powers of ten above what is
# allowed.

# %% [markdown]
# ## Detail 3: how the variance is computed
#
# Two formulas, equal on paper:
#
# $$
# \frac1D\sum_i (x_i - \mu)^2 \qquad\text{and}\qquad
# \frac1D\sum_i x_i^2 - \Big(\frac1D\sum_i x_i\Big)^2
# $$
#
# The second needs one pass over the numbers, and so it is popular in kernels. But it subtracts two
# large numbers that nearly agree. If the mean is $m$ times the standard deviation, about
# $m^2$ roundings of float32 remain in the result.


# %%
def two_passes(x):
    return ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1)


def one_pass(x):
    return (x**2).mean(-1) - x.mean(-1) ** 2


offsets = 10.0 ** np.arange(0, 4.25, 0.25)
worst = {"two passes": [], "one pass": []}
base = rng.normal(size=(400, 128))
for offset in offsets:
    narrow = (base + offset).astype(np.float32)
    truth = narrow.astype(np.float64).var(-1)
    for name, variance in (("two passes", two_passes), ("one pass", one_pass)):
        found = variance(narrow)
        assert found.dtype == np.float32
        worst[name].append(np.sqrt(np.mean((found / truth - 1) ** 2)))

drawn, axes = figure(size=(6.0, 2.8))
for name, errors in worst.items():
    axes.loglog(offsets, errors, marker=".", label=name)
axes.loglog(offsets, offsets**2 * rounding, linestyle="dotted", label=r"$m^2 \cdot 2^{-24}$")
axes.set_xlabel("mean / standard deviation")
axes.set_ylabel("relative error (rms)")
axes.legend()
show(drawn, "Error of the variance in float32 over the offset: one pass loses it quadratically")
assert max(worst["two passes"]) < 1e-6
assert worst["one pass"][-1] > 1

# %% [markdown]
# At a mean of a few thousand standard deviations, one pass has lost the variance altogether, and
# may even return a negative number, whose square root is NaN. Two passes do not care. Does it
# matter in practice? In `tiny` means are small next to the spread:

# %%
inputs = [trace[f"{norm}:input"] for norm in norms]
largest = max((np.abs(x.mean(-1)) / x.std(-1)).max() for x in inputs)
print(f"mean / standard deviation in tiny: at most {largest:.2f}")
assert largest < 1

# %% [markdown]
# so both ways are good there, and this project's envelope has both in it: a kernel in one pass is a
# legitimate evaluation of the same formula. They part only where data have a large mean.

# %% [markdown]
# ## A last look: what the normalisation does to real activations

# %%
drawn, (left, right) = figure(columns=2, size=(7.5, 2.8))
before, after = (trace[f"transformer.h.4.ln_1{end}"][0, :24] for end in (":input", ""))
heatmap(left, before, title="block 4 of tiny: the stream", around_zero=True)
heatmap(right, after, title="after ln_1", around_zero=True)
for axes in (left, right):
    axes.set_xlabel("feature")
left.set_ylabel("position")
show(drawn, "The stream of 24 positions before and after layer normalisation, as heat maps")
weights = {name: checkpoint.weights[f"{name}.weight"].astype(np.float64) for name in norms}
biases = {name: checkpoint.weights[f"{name}.bias"].astype(np.float64) for name in norms}
for norm in norms:
    ours, _ = layer_norm(trace[f"{norm}:input"], weights[norm], biases[norm])
    np.testing.assert_allclose(ours, trace[norm], atol=1e-12)

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Many newer models (Llama, for one) have RMSNorm: no mean is taken away, no bias
# added, $y = x \odot w / \sqrt{\overline{x^2} + \varepsilon}$. Write its forward *and* backward
# pass: return `y` and `dx` for `g` = $\partial L/\partial y$.


# %% tags=["exercise"]
def rms_norm(x, weight, g, eps=1e-6): ...  # your turn: return y, dx


# %% tags=["check"]
@check(rms_norm)
def rms_norm_is_pytorchs(answer):
    """Forward and backward as PyTorch has them."""
    x, g = rng.normal(size=(2, 3, 4, 48)) + 1
    w = rng.normal(size=48)
    at = torch.from_numpy(x.copy()).requires_grad_()
    theirs = F.rms_norm(at, (48,), torch.from_numpy(w), eps=1e-6)
    theirs.backward(torch.from_numpy(g))
    y, dx = answer(x, w, g)
    y_right = np.allclose(y, theirs.detach().numpy(), atol=1e-12)
    assert y_right, "y: divide by the root of the mean of squares; no mean is taken away"
    assert np.allclose(dx, at.grad.numpy(), atol=1e-12), "dx: there is no mean of h to take away"


# %% tags=["solution", "hide-input"]
def solution_1(x, weight, g, eps=1e-6):
    s = np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    x_hat, h = x / s, g * weight
    return x_hat * weight, (h - x_hat * (h * x_hat).mean(-1, keepdims=True)) / s


rms_norm_is_pytorchs(solution_1)

# %% [markdown]
# **Exercise 2.** One pass *and* exact: Welford (1962) updates the mean and the sum of squared
# deviations with each number, $\mu_n = \mu_{n-1} + (x_n - \mu_{n-1})/n$ and
# $M_n = M_{n-1} + (x_n - \mu_{n-1})(x_n - \mu_n)$. Write the variance of the last axis that way,
# all of it in the dtype of `x`.


# %% tags=["exercise"]
def welford(x): ...  # your turn: [..., D] -> [...]


# %% tags=["check"]
@check(welford)
def welford_is_exact(answer):
    """Right in float64, and in float32 where one pass of sums fails."""
    found = answer(base)
    assert np.shape(found) == (400,), "one variance for each row"
    assert np.allclose(found, base.var(-1), atol=1e-13), "M divided by D, the number of features"
    narrow = (base + 1000).astype(np.float32)
    found = answer(narrow)
    assert found.dtype == np.float32, "float32 in, float32 all the way"
    error = np.abs(found / narrow.astype(np.float64).var(-1) - 1).max()
    assert error < 1e-2, f"float32 at an offset of 1000: off by {error:.1e}"


# %% tags=["solution", "hide-input"]
def solution_2(x):
    mean, m = np.zeros_like(x[..., 0]), np.zeros_like(x[..., 0])
    for n in range(x.shape[-1]):
        before = x[..., n] - mean
        mean = mean + before / x.dtype.type(n + 1)
        m = m + before * (x[..., n] - mean)
    return m / x.dtype.type(x.shape[-1])


welford_is_exact(solution_2)

# %% [markdown]
# **Exercise 3.** At the start of training a part's output is independent of the stream, and each
# part adds some variance $v$ to a pre-norm stream that begins with variance 1. Return the factor by
# which each part's output must be scaled, so that the variance after `blocks` blocks of two parts
# each is $1 + v$, whatever `blocks` is. Then look for it in `reference/regimes.py`.


# %% tags=["exercise"]
def scale_of_a_part(blocks): ...  # your turn


# %% tags=["check"]
@check(scale_of_a_part)
def variance_stays(answer):
    """Simulated: independent parts of variance v are added to a stream."""
    for blocks in (1, 6, 48):
        v = 0.5
        scale = answer(blocks)
        stream = rng.normal(size=20_000)
        for _ in range(2 * blocks):
            stream = stream + scale * np.sqrt(v) * rng.normal(size=20_000)
        off = abs(stream.var() - (1 + v))
        assert off < 0.1, f"with {blocks} blocks the variance is {stream.var():.2f}, not {1 + v}"


# %% tags=["solution", "hide-input"]
def solution_3(blocks):
    return 1 / np.sqrt(2 * blocks)


variance_stays(solution_3)

# %% [markdown]
# ## What to take along
#
# - Layer normalisation makes each position's features mean 0 and variance 1, then scales and
#   shifts. Its gradient takes out the two directions that do not matter, and divides by the size.
# - The sum around each part keeps what a position was, and gives gradients a straight way. The
#   normalisation *inside* the sum keeps sizes in check. Of three stacks of eight blocks that were
#   trained, only that one learned.
# - Divide by $D$; know your epsilon, and look for it where variances are small; and do not
#   subtract squares in float32 where the mean may be large.
