# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 10. From the transformer to GPT: twelve steps in MAX
#
# [Chapter 9](ch09_encoder_decoder.py) had a complete transformer. A GPT is less: this chapter says
# what is left out and what is changed, and then builds GPT-2 in Modular's MAX, part by part, each
# formula beside its code. After it you know
#
# - how GPT-2 differs from the transformer of 2017, and why;
# - what a MAX module is: Python that is run once, to record a graph;
# - the twelve steps of the course in this repository, and how each is checked before anything is
#   compiled: the graph in float64, beside NumPy's GPT-2;
# - what the error of a model looks like, place by place, when it is right and when it is not.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import tempfile
from pathlib import Path

import numpy as np

from impl.config import PRESETS, parameter_shapes
from impl.runtime import build, open_device
from reference.load import load
from reference.oracle import Oracle
from reference.taps import short_name
from verify.candidate.factory import load_factory
from verify.pairing.built import Here
from verify.pairing.outline import gpt2_outline
from verify.pairing.parameters import propose
from verify.pairing.translated import PairedCandidate
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, show
from verify.steps.book.shared.solution_code import show_code
from verify.steps.component import check_numbers, check_shapes
from verify.steps.course import STEPS
from verify.steps.importable import importable
from verify.steps.lessons import lesson
from verify.steps.phases import check_step

# %% [markdown]
# ## What is left out, and what is changed
#
# | the transformer of 2017 | GPT-2, 2019 | why |
# |---|---|---|
# | encoder and decoder | the decoder alone | source and answer are one text: "translate: ..." |
# | cross-attention | none | there is no encoder to ask |
# | sinusoids for positions | a learned table | as good, and simpler; it ends at 1,024 positions |
# | $\sqrt{D}\,E$ | $E$ | one more constant that was not needed |
# | $\mathrm{LN}(x + f(x))$ | $x + f(\mathrm{LN}(x))$, and a last LN | chapter 8 |
# | ReLU | GELU in its tanh form | [chapter 7](ch07_feed_forward_gelu.py) |
# | three projections for q, k, v | one, $D \to 3D$ | one large product is faster than three |
# | 6 + 6 layers, $D = 512$ | 12 to 48, $D = 768$ to $1600$ | it can |
#
# What remains is a causal stack: every position predicts the token that follows it, and the text so
# far is the only input.

# %% [markdown]
# ## What MAX does with Python
#
# MAX is a compiler for such models. A model is a class derived from `max.experimental.nn.Module`.
# When it is compiled, its `forward` runs **once**, on tensors without values. Each operation adds a
# node to a graph, with dtypes and shapes; a size that is not known yet has a name, such as `batch`.
# The compiler then makes one program of the graph.
#
# This has a consequence that we use: after tracing, which takes a fraction of a second, the graph
# is there to be read. `verify/graph` evaluates it in NumPy, in float64. No compiler has touched it,
# and float32 plays no part. What comes out is what the code *says*. That it says the right thing is
# the first question, and the only one in this chapter. (Whether the compiler keeps to it is the
# second; compiling takes a minute, and `python -m verify` asks it.)
#
# All code below is read from the course's own solutions, `verify/steps/lessons`. We write the
# twelve files into a folder, as a learner would.

# %%


def written(change=lambda text: text):
    """A new folder with the twelve files, each changed by a function."""
    folder = Path(tempfile.mkdtemp()) / "gpt2"
    folder.mkdir()
    for number in range(1, 13):
        solution = change(lesson(number).solution)
        (folder / f"step_{number:02}.py").write_text(solution, encoding="utf-8")
    return folder


def passes(number, folder):
    """Whether a step's file passes, as `python -m verify step N FILE --quick` judges it."""
    step = STEPS[number - 1]
    for phase in check_step(step, folder / f"step_{number:02}.py", quick=True):
        if not phase.passed:
            print(f"step {number}: not '{phase.title}': {phase.problem}")
            print(f"hint: {phase.hint}")
            return False
    print(f"step {number}: {step.title}: PASS")
    return True


mine = written()


# %% [markdown]
# ## Step 1: configuration
#
# All sizes in one place, under the names that a checkpoint's `config.json` has. One rule:
# `n_embd = n_head * head_dim`.

# %%
show_code(1)
assert passes(1, mine)

# %% [markdown]
# ## Step 2: the causal mask
#
# $$
# M_{qk} = \begin{cases} 0 & k \le q \\ -\infty & k > q \end{cases}
# $$
#
# It is added to the scores, and $e^{-\infty} = 0$. The length is symbolic: the mask is an operation
# in the graph, not an array. `band_part` is used because MAX 26.7 on a CPU can drop a mask that is
# built by comparing positions, without a word; this project found that
# (`verify/max_bugs/where_mask.py`).

# %%
show_code(2)
assert passes(2, mine)

# %% [markdown]
# ## Step 3: layer normalisation
#
# $$
# y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot w + b, \qquad
# \sigma^2 = \frac1D \sum_i (x_i - \mu)^2
# $$
#
# Tensors that are attributes become parameters, found by their names.

# %%
show_code(3)
assert passes(3, mine)

# %% [markdown]
# ## Step 4: the MLP
#
# $$
# \mathrm{MLP}(x) = W_{proj}\;\mathrm{GELU}_{\tanh}(W_{fc}\,x + b_{fc}) + b_{proj}
# $$
#
# `Linear` holds its weights as `[out, in]`, and checkpoints of GPT-2 hold them as `[in, out]`
# (exercise 1).

# %%
show_code(4)
assert passes(4, mine)

# %% [markdown]
# ## Steps 5 and 6: embeddings
#
# $$
# x_{bs} = E_{\text{ids}[b, s]} + P_s
# $$

# %%
show_code(5, "forward")
show_code(6, "forward")
assert passes(5, mine)
assert passes(6, mine)

# %% [markdown]
# ## Step 7: attention
#
# For each head, with $K$ = head_dim:
#
# $$
# \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{K}} + M\right) V
# $$
#
# Note how heads are split: a reshape to `[B, S, H, K]`, then an exchange of axes. A reshape to
# `[B, H, S, K]` at once has the right shape and is wrong.

# %%
show_code(7)
assert passes(7, mine)

# %% [markdown]
# ## Steps 8 and 9: residuals and the block
#
# $$
# x \leftarrow x + \mathrm{attn}(\mathrm{LN}_1(x)), \qquad x \leftarrow x +
# \mathrm{mlp}(\mathrm{LN}_2(x))
# $$

# %%
show_code(8, "forward")
show_code(9)
assert passes(8, mine)
assert passes(9, mine)

# %% [markdown]
# ## Steps 10 and 11: the stack and the head
#
# $$
# \text{logits} = \mathrm{LN}_f\big(\mathrm{block}_n(\ldots\,\mathrm{block}_1(E_{\text{ids}} +
# P))\big)\, E^\top
# $$
#
# The head has no weights of its own: a token is likely if the last vector points where its
# embedding points.

# %%
show_code(10, "forward")
show_code(11)
assert passes(10, mine)
assert passes(11, mine)

# %% [markdown]
# ## Step 12: generation
#
# The model gives scores for the token after each position. Take the last, choose, append, repeat.
# (Choosing by chance is [chapter 13](ch13_sampling.py); not computing everything again each time is
# [chapter 14](ch14_kv_cache.py).)

# %%
show_code(12)
assert passes(12, mine)

# %% [markdown]
# ## The whole model, place by place
#
# The steps were checked with a small random model. Now the whole, with the trained weights of
# `tiny`: the class of step 11, traced, its graph evaluated in float64, and compared with the NumPy
# oracle at every place that both have. Then the same graph at its declared precision, float32.

# %%
checkpoint = load("tiny")


def traced(file):
    """The model of a learner's step 11, with every module's input and output as an output."""
    with importable(file):
        factory = load_factory(f"{file}:GPT2LMHeadModel")
        device = open_device("cpu")
        here = Here("GPT2LMHeadModel", build(checkpoint.config, device, factory=factory), device)
        outline, reference = here.outline(), gpt2_outline(checkpoint)
        return PairedCandidate(here, outline, propose(outline, reference), reference)


model = traced(mine / "step_11.py")
weights = model.weights_of(checkpoint.weights)
ids = np.random.default_rng(10).integers(0, checkpoint.config.vocab_size, (2, 48))
truth = Oracle(checkpoint).trace(ids)


def errors_by_place(model, precision):
    """The relative error (rms) at each place of a run from token ids to logits."""
    logits, found = model.evaluated(weights, precision).trace(ids)
    found = {"lm_head": logits, **found}
    return {
        place: np.sqrt(np.mean((found[place] - exact) ** 2) / np.mean(exact**2))
        for place, exact in truth.items()
        if place in found and np.issubdtype(exact.dtype, float)
    }


in_float64 = errors_by_place(model, "float64")
in_float32 = errors_by_place(model, "declared")
print(f"{len(in_float64)} places; float64: at most {max(in_float64.values()):.1e},", end=" ")
print(f"float32: at most {max(in_float32.values()):.1e}")
assert max(in_float64.values()) < 1e-12
assert max(in_float32.values()) < 1e-5

# %% [markdown]
# ## And with one word changed
#
# `approximate="none"` for `"tanh"`, in step 4.

# %%
theirs = written(lambda text: text.replace('approximate="tanh"', 'approximate="none"'))
assert not passes(4, theirs)
wrong = traced(theirs / "step_11.py")
with_a_fault = errors_by_place(wrong, "float64")

# %%
drawn, axes = figure(size=(7.5, 3.2))
places = list(in_float64)
for name, errors in (
    ("erf for tanh, float64", with_a_fault),
    ("right, float32", in_float32),
    ("right, float64", in_float64),
):
    axes.semilogy([max(errors[place], 1e-17) for place in places], marker=".", label=name)
blocks = [places.index(f"transformer.h.{layer}.ln_1") for layer in range(6)]
axes.set_xticks(blocks, [f"block {layer}" for layer in range(6)])
axes.set_ylabel("relative error (rms)")
axes.legend(fontsize=8, loc="center right")
show(drawn, "Relative error at every place of the model: float64, float32, and with a wrong GELU")
first = next(place for place in places if with_a_fault[place] > 1e-9)
print(f"the first place that is off: {short_name(first)}")
assert first == "transformer.h.0.mlp.c_proj:input"

# %% [markdown]
# Read from left to right. In float64 the right model is right everywhere, to fifteen digits. In
# float32 it loses eight of them at once and then little more: errors add up like a random walk, and
# layer normalisation keeps them in proportion. The wrong model is right until the first GELU, and
# from there on everything is wrong, so that one would have to guess where it began, were it not for
# the order. `python -m verify` therefore also feeds each place with the right input and looks at it
# *alone*. Then nothing fails but one place in each block. This model's GELU is a function and not a
# module, so it is seen at the layer that takes its result: in what `c_proj` is given (the arrow),
# and so in what it returns.

# %%
given = {tap: truth[tap] for tap in wrong.given_taps}
alone = wrong.evaluated(weights).forced_trace(ids, given)
exact = Oracle(checkpoint).trace(ids, given)
off = [
    tap
    for tap, found in alone.items()
    if np.issubdtype(found.dtype, float) and np.abs(found - exact[tap]).max() > 1e-9
]
print(*map(short_name, off), sep=", ")
blamed = [f"transformer.h.{layer}.mlp.c_proj" for layer in range(6)]
assert off == [tap for place in blamed for tap in (f"{place}:input", place)]

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** The checkpoint's linear layers are Conv1D's, `[in, out]`; MAX's are `[out, in]`.
# Write the loading: from the checkpoint's weights (a dict by Hugging Face name) to the parameters
# of the model of step 11 (the same names). `wte`, `wpe` and what has one axis stay as they are.


# %% tags=["exercise"]
def to_max(weights): ...  # your turn


# %% tags=["check"]
@check(to_max)
def loads_as_the_harness_does(answer):
    """The same names and arrays as the harness binds."""
    found = answer(checkpoint.weights)
    assert set(found) == set(weights), "the names stay; nothing is left out"
    for name, expected in weights.items():
        assert found[name].shape == expected.shape, f"{name} is {expected.shape} in MAX"
        assert np.array_equal(found[name], expected), f"{name}: a transpose, not a reshape"


# %% tags=["solution", "hide-input"]
def solution_1(weights):
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {name: w.T if name.endswith(linear) else w for name, w in weights.items()}


loads_as_the_harness_does(solution_1)

# %% [markdown]
# **Exercise 2.** How many parameters has a GPT-2 of $L$ blocks of width $D$, with $V$ tokens and
# $P$ positions? Write the formula, by counting the parts above.


# %% tags=["exercise"]
def parameter_count(V, P, D, L): ...  # your turn


# %% tags=["check"]
@check(parameter_count)
def counts_are_the_models(answer):
    """Of all published sizes."""
    one = answer(0, 0, 768, 1) - answer(0, 0, 768, 0)
    assert one == 7_087_872, f"a block of width 768 has 7,087,872, not {one:,}"
    for name, config in PRESETS.items():
        found = answer(config.vocab_size, config.n_positions, config.n_embd, config.n_layer)
        expected = sum(int(np.prod(shape)) for shape in parameter_shapes(config).values())
        assert found == expected, f"{name} has {expected:,} parameters, not {found:,}"


# %% tags=["solution", "hide-input"]
def solution_2(V, P, D, L):
    attention = D * 3 * D + 3 * D + D * D + D
    mlp = D * 4 * D + 4 * D + 4 * D * D + D
    norms = 2 * 2 * D
    return V * D + P * D + L * (attention + mlp + norms) + 2 * D


counts_are_the_models(solution_2)
print(f"GPT-2 small: {solution_2(50257, 1024, 768, 12):,}")

# %% [markdown]
# **Exercise 3.** Your first lines of MAX. `F.gelu` is one operation of the library. Write the tanh
# form out with `F.tanh` and arithmetic, for a tensor of MAX
# (`from max.experimental import functional as F`). The check puts it into step 4 and judges it in
# float64.


# %% tags=["exercise"]
def bend(x): ...  # your turn: a tensor of MAX in, a tensor out


# %% tags=["check"]
@check(bend)
def bends_as_gpt2_does(answer):
    """Step 4 with this function, by the rules of the course."""
    with importable(mine / "step_04.py"):
        mlp = load_factory(f"{mine / 'step_04.py'}:GPT2MLP")

    class WithBend(mlp):
        def forward(self, x):
            return self.c_proj(answer(self.c_fc(x)))

    check_numbers(STEPS[3], check_shapes(STEPS[3], WithBend), quick=True)


# %% tags=["solution", "hide-input"]
def solution_3(x):
    from max.experimental import functional as F

    inner = 0.7978845608028654 * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + F.tanh(inner))


bends_as_gpt2_does(solution_3)

# %% [markdown]
# ## What to take along
#
# - GPT-2 is the decoder of 2017 without cross-attention, with the norm in front, GELU, and learned
#   positions.
# - A MAX module is traced once into a graph. The graph can be read and evaluated, so that the
#   mathematics is checked in seconds and in float64, before a compiler is involved.
# - Errors travel. Look for the first place that is off, or better, at each place alone.
#
# **Now write it yourself**: `python -m verify learn my-gpt2` begins a folder with the first
# skeleton, watches it, checks at each save, and gives hints in three levels; after twelve steps it
# puts your own GPT-2 together. Two further steps serve it ([chapter 17](ch17_serve_it.py)) and give
# it a KV cache ([chapter 14](ch14_kv_cache.py)).
