# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 15. Is it right? Floats, orders, envelopes, faults
#
# Two programs compute the same GPT-2. Their logits differ in the sixth digit. Is one of them wrong?
# After this chapter you will know
#
# - where floating-point numbers lie, and how large the error of one operation can be;
# - why correct programs differ, by how much, and how such differences grow through a model;
# - why no fixed tolerance separates correct programs from wrong ones, with figures;
# - how this project decides: each stage alone, against float64, within an *envelope* that is
#   measured; and how it shows that a mistake would have been noticed.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import math

import numpy as np
import torch
from ml_dtypes import finfo
from torch.nn import functional

from reference.dtypes import DTYPES, rounded, unit_roundoff
from reference.load import load
from reference.oracle import Oracle
from reference.regimes import with_regime
from reference.trace import Recorder
from verify.faults.catalogue import catalogue
from verify.faults.planted import Planted
from verify.judge.acceptance import Envelope, judge
from verify.judge.metrics import rms
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLUE, ORANGE, figure, show
from verify.truth.cases import random_cases
from verify.truth.float16 import FusedBlocked, StepwiseScaledFirst
from verify.truth.float32 import Blocked, Pairwise, Reversed, Sequential
from verify.truth.probe import probe

rng = np.random.default_rng(15)

# %% [markdown]
# ## Where the numbers lie
#
# A float is $\pm m \cdot 2^e$ with a *significand* $m$ of $p$ bits. Between $2^e$ and $2^{e+1}$ the
# numbers lie at equal distances, the *unit in the last place*:
#
# $$\mathrm{ulp}(x) = 2^{\lfloor \log_2 |x| \rfloor - (p - 1)}$$
#
# An operation gives the float that is nearest to the exact result, so it is off by half an ulp at
# most: $\mathrm{fl}(a + b) = (a + b)(1 + \delta)$ with $|\delta| \le u = 2^{-p}$, the *unit
# roundoff*. (For sums, differences, products, quotients and square roots, unless the
# result is too large or too small.)

# %%
print("format     bits p   u         ulp at 1   ulp at 1000   largest number")
for name in ("float64", "float32", "float16", "bfloat16"):
    dtype = DTYPES[name]
    u = unit_roundoff(dtype)
    at_1, at_1000 = (float(np.spacing(dtype.type(x))) for x in (1, 1000))
    bits, largest = round(-math.log2(u)), float(finfo(dtype).max)
    print(f"{name:9} {bits:5}    {u:.1e}   {at_1:.1e}    {at_1000:.1e}       {largest:.1e}")

x = rng.uniform(1, 100, 100_000)
relative = np.abs(x.astype(np.float32) - x) / x
assert relative.max() <= unit_roundoff(np.float32)
print(f"largest relative error of 100,000 roundings to float32: {relative.max():.2e}")

# %% [markdown]
# ## The order of a sum matters
#
# Rounding makes addition depend on the order: $(a + b) + c \ne a + (b + c)$.

# %%
a, b, c = np.float32(1e8), np.float32(-1e8), np.float32(1)
print(f"(a + b) + c = {(a + b) + c},  a + (b + c) = {a + (b + c)}")
assert (a + b) + c == 1
assert a + (b + c) == 0

# %% [markdown]
# A matrix product is sums of hundreds or thousands of terms, and no standard says in which order.
# A loop adds one after the other; a vector unit keeps 8 or 16 sums side by side; a GPU adds
# pairwise. All of these are *correct*. How far are they from the exact sum?


# %%
def in_sequence(x):
    """One after the other, as a loop does; over the last axis, in float32."""
    return np.cumsum(x, axis=-1, dtype=np.float32)[..., -1]


def in_lanes(x):
    """Sixteen sums side by side, as a vector unit keeps them."""
    return in_sequence(in_sequence(x.reshape(*x.shape[:-1], -1, 16).swapaxes(-1, -2)))


def pairwise(x):
    """The sum of each half, added."""
    while x.shape[-1] > 1:
        x = x[..., ::2] + x[..., 1::2]
    return x[..., 0]


sizes = 2 ** np.arange(4, 15)
spread = {"in sequence": [], "16 lanes": [], "pairwise": []}
for n in sizes:
    terms = rng.standard_normal((200, n)).astype(np.float32)
    exact = terms.sum(axis=1, dtype=np.float64)
    for name, order in zip(spread, (in_sequence, in_lanes, pairwise), strict=True):
        error = order(terms).astype(np.float64) - exact
        spread[name].append(rms(error) / rms(exact) / unit_roundoff(np.float32))

drawn, axes = figure(size=(5.5, 2.8))
for name, found in spread.items():
    axes.loglog(sizes, found, "o-", markersize=3, label=name)
axes.set(xlabel="terms of the sum", ylabel="error / size of the sum, in units u")
axes.set_title("Sums of float32 numbers, by the order of their terms")
axes.legend()
show(drawn, "Errors of sums in three orders over the number of terms; in sequence grows fastest")
assert spread["in sequence"][-1] > 5 * spread["pairwise"][-1]

# %% [markdown]
# In sequence the error grows like $u\,n^{1/2}$ (each of the $n$ roundings is as large as the
# partial sum that it rounds), pairwise like $u\,(\log_2 n)^{1/2}$. Neither is a bug. So the
# question "how large may a difference be?" has no answer that fits all sums: it depends on how many
# terms there are, on their signs, on their sizes.
#
# ## How errors grow through a model
#
# Each stage of GPT-2 is such sums, and its error is handed to the next one. Here is `tiny`, each
# time the whole model, with the error of the residual stream after each block. The truth is the
# oracle in float64. In bfloat16 the weights are rounded first, and the truth has those weights too:
# what remains is the error of the arithmetic.
#
# *Blocked* and *pairwise* are two orders of the sums; *stored stage by stage* rounds to bfloat16
# when a stage is done, as a fused kernel does, and *stored at each operation* as a chain of library
# calls does.

# %%
checkpoint = load("tiny")
config = checkpoint.config
oracle = Oracle(checkpoint)
ids = random_cases(config, "given", [(2, 33)], seed=0, device="cpu")[0].ids  # [2, 33]
places = ["transformer.h.0:input", *(f"transformer.h.{n}" for n in range(config.n_layer))]
places += ["transformer.ln_f", "lm_head"]


def relative_errors(model, truth):
    """Error at each place of a whole run, over the size of the result."""
    found = model.trace(ids)
    return [rms(found[p].astype(np.float64) - truth[p]) / rms(truth[p]) for p in places]


in_16_bits = rounded(checkpoint, "bfloat16")
truth, truth_16 = oracle.trace(ids), Oracle(in_16_bits).trace(ids)
grown = {
    "float32, blocked": relative_errors(Blocked(checkpoint, np.float32), truth),
    "float32, pairwise": relative_errors(Pairwise(checkpoint, np.float32), truth),
    "bfloat16, stored stage by stage": relative_errors(
        FusedBlocked(in_16_bits, "bfloat16"), truth_16
    ),
    "bfloat16, stored at each operation": relative_errors(
        StepwiseScaledFirst(in_16_bits, "bfloat16"), truth_16
    ),
}
for name, found in grown.items():
    print(f"{name:36} {found[0]:.1e} at the start, {found[-1]:.1e} in the logits")

drawn, axes = figure(size=(6.4, 3.0))
for name, found in grown.items():
    axes.semilogy(range(len(places)), found, "o-", markersize=3, label=name)
axes.set_xticks(range(len(places)), ["embed", *(f"block {n}" for n in range(6)), "ln_f", "logits"])
axes.set(ylabel="relative error (rms)", title="How errors grow through tiny")
axes.legend(loc="center right", fontsize=8)
show(drawn, "Relative error after each block, two lines in float32 and two in bfloat16")

# %% [markdown]
# Most of the error is there after the first block, and the rest grows slowly: errors of the blocks
# have random signs and add up like the square root of their number, while the residual stream grows
# too. The curves of bfloat16 have the same shape and lie higher, by a little less than $2^{16}$,
# the ratio of the unit roundoffs: its sums are kept in float32, and only what is stored is rounded.

# %%
ratio = grown["bfloat16, stored stage by stage"][-1] / grown["float32, blocked"][-1]
print(f"in the logits: bfloat16 / float32 = 2^{math.log2(ratio):.1f}")
assert 2**12 < ratio < 2**20

# %% [markdown]
# ## A fixed tolerance: too tight and too wide
#
# The usual test compares logits: `np.allclose(found, reference, rtol=1e-3, atol=1e-5)`, or some
# other two numbers. Is there a pair that finds bugs and lets correct programs pass? Both can be
# counted.
#
# - **Wrong programs.** `verify/faults/catalogue.py` has 51 mistakes, most of which somebody really
#   shipped: another epsilon, GELU by erf, a mask of -1e4, heads merged in the wrong order, factors
#   rounded to 16 bits... Each is planted into one block of the oracle.
# - **Correct programs.** Float32 in two orders, on six texts of 128 tokens.
#
# All of it in three *regimes*: the trained weights as given, every parameter moved a little
# (`perturbed`), and queries and keys ten times as large (`stress`), as large as they get in some
# models.

# %%
REGIMES = {name: with_regime(checkpoint, name) for name in ("given", "perturbed", "stress")}
oracles = {name: Oracle(weights) for name, weights in REGIMES.items()}
inputs = [random_cases(config, "", [(1, 128)], seed=n, device="cpu")[0].ids for n in range(6)]
faults = [fault for fault in catalogue("float32", config) if fault.fits(ids, config.n_positions)]
print(f"{len(faults)} of the 51 faults can show in two rows of 33 tokens")


def logits_with(fault, model):
    """Logits of the whole model with a fault in one block, rounded to float32."""
    planted = Planted(model, fault, fault.layer(config.n_layer))
    planted.tap = Recorder()
    with np.errstate(all="ignore"):  # a fault may overflow
        return planted.language_model(ids).astype(np.float32)


wrong, right = {}, {}  # pairs of logits: found, and exact
for regime, model in oracles.items():
    exact = model.trace(ids)["lm_head"]
    wrong[regime] = {fault.id: (logits_with(fault, model), exact) for fault in faults}
    right[regime] = []
    for tokens in inputs:
        exact = model.trace(tokens)["lm_head"]
        for order in (Blocked, Pairwise):
            found = order(REGIMES[regime], np.float32).trace(tokens)["lm_head"]
            right[regime].append((found, exact))

# %%
print("rtol   atol    faults that pass: given, all three    correct runs rejected, of 12 each")
for rtol, atol in ((1e-5, 1e-6), (1e-3, 1e-5), (1e-3, 1e-3), (1e-2, 1e-2), (5e-2, 5e-2)):
    passed = {
        regime: {name for name, pair in pairs.items() if np.allclose(*pair, rtol, atol)}
        for regime, pairs in wrong.items()
    }
    rejected = {
        regime: sum(not np.allclose(*pair, rtol, atol) for pair in pairs)
        for regime, pairs in right.items()
    }
    everywhere = set.intersection(*passed.values())
    told = ", ".join(f"{count} {regime}" for regime, count in rejected.items())
    print(f"{rtol:.0e}  {atol:.0e}  {len(passed['given']):14}, {len(everywhere)} of {len(faults)}"
          f"          {told}")  # fmt: skip
    assert everywhere
    assert rejected["stress"] or rtol > 1e-3

missed = [name for name, pair in wrong["given"].items() if np.allclose(*pair, 1e-2, 1e-2)]
print("\nwith the given weights 1e-2/1e-2 lets pass:", ", ".join(missed))
print("and in all regimes:", ", ".join(sorted(everywhere)))

# %% [markdown]
# With the weights as given, which is what people test with, 1e-3 does well on this model. Under
# stress the same number rejects correct runs: there a softmax can have two scores that are nearly
# equal, rounding decides which of them wins, and everything after that differs. And 1e-2, which
# still rejected some of them where this was written, passes more than a quarter of the mistakes:
# wrong epsilons, roundings to 16 bits, GELU by erf.
#
# Stress enlarges the effect of mistakes as well: with all three regimes 5e-2, the first line that
# rejects no correct run, leaves six of them. But this number we found by looking at both answers,
# for one model and these inputs. A longer text, a deeper model or bfloat16 needs another one, and
# nobody knows it beforehand. Some mistakes no test of logits can see: `key_bias_dropped` is
# cancelled by the softmax, and a mask of -1e4 is as good as any on these inputs. Whatever the
# tolerance, an error in the logits does not say *where* it comes from.
#
# ## Each stage alone
#
# Two ideas make the question answerable.
#
# **Cut the model into stages.** A *forced* run gives every module the reference's own activation,
# whatever the module before it computed. An error cannot travel, so the first stage that is wrong
# is the broken one; and a near-tie decides nothing downstream. The oracle does that: `trace(ids,
# given)` takes activations by name.
#
# **Measure what is allowed.** For each stage and each input, evaluate the stage in several
# legitimate ways in float32. The worst of their errors is the *envelope* $E$. The candidate is one
# more legitimate way, if it is right, so it may be somewhat worse than the worst of a few:
#
# $$
# \mathrm{rms}(e) \le 2\,E_\mathrm{rms} + q \quad\text{and}\quad
# \max |e| \le 3\,E_\max + q
# $$
#
# where $q$ is half an ulp of the result. The factors are the same for every stage, model and input.

# %%
ORDERS = (Blocked, Pairwise, Sequential, Reversed)  # verify/truth/float32.py says what each does
stages = oracle.output_taps()
print(f"{len(stages)} stages, from {stages[0]} to {stages[-1]}")


def forced_traces(weights, given):
    """Each stage alone, on the given activations: in float64, and in float32 in four ways."""
    truth = Oracle(weights).trace(ids, given)
    return truth, {order: order(weights, np.float32).trace(ids, given) for order in ORDERS}


def envelope(truth, ways, tap):
    """The worst errors of these ways at a stage; rows that a slow way left out are NaN."""
    errors = [way[tap].astype(np.float64) - truth[tap] for way in ways]
    errors = [error[np.isfinite(error)] for error in errors]
    return Envelope(max(rms(error) for error in errors), max(np.abs(e).max() for e in errors))


given = {tap: truth[tap].astype(np.float32) for tap in stages}
exact, ways = forced_traces(checkpoint, given)
for tap in ("transformer.h.2.ln_1", "transformer.h.2.mlp.c_fc", "transformer.h.2.mlp.c_proj"):
    E = envelope(exact, ways.values(), tap)
    print(f"{tap:28} E_rms {E.rms:.1e}, E_max {E.max:.1e}, results of size {rms(exact[tap]):.2f}")

# %% [markdown]
# PyTorch's own operations, on the same activations, must be within. They took no part in the
# envelope.

# %%
w = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.weights.items()}
block = "transformer.h.2"
stream = torch.from_numpy(exact[f"{block}.ln_1:input"].astype(np.float32))
bent = torch.from_numpy(exact[f"{block}.mlp.act:input"].astype(np.float32))
normalised = torch.from_numpy(exact[f"{block}.mlp.c_fc:input"].astype(np.float32))
by_torch = {
    f"{block}.ln_1": functional.layer_norm(
        stream, (128,), w[f"{block}.ln_1.weight"], w[f"{block}.ln_1.bias"], 1e-5
    ),
    f"{block}.mlp.c_fc": functional.linear(
        normalised, w[f"{block}.mlp.c_fc.weight"].T, w[f"{block}.mlp.c_fc.bias"]
    ),
    f"{block}.mlp.act": functional.gelu(bent, approximate="tanh"),
}
for tap, found in by_torch.items():
    verdict = judge(found.numpy(), exact[tap], envelope(exact, ways.values(), tap), np.float32)
    print(f"{tap:26} {verdict.verdict}: {verdict.used:.0%} of what is allowed")
    assert verdict.verdict == "PASS"

erf = functional.gelu(bent).numpy()  # GELU by erf, which GPT-2 does not have
tap = f"{block}.mlp.act"
verdict = judge(erf, exact[tap], envelope(exact, ways.values(), tap), np.float32)
print(f"GELU by erf: {verdict.verdict}, {verdict.message}")
assert verdict.verdict == "FAIL"

# %% [markdown]
# ## What is caught
#
# Now all faults, each planted into its stage, by the same rule. One more input is needed: on a
# model's own activations some mistakes *cannot* show, such as a mask of -1e4 where no score is
# large. The *probe* feeds stages what their own model would not: scores of a million, a residual
# stream so small that LayerNorm's epsilon counts.
#
# And correct programs, judged by the envelope of the *others*: each order by the three that it is
# not.

# %%
used_right, used_wrong = [], {}
for name, activations in (("given", given), ("probe", probe(given, config))):
    exact, ways = forced_traces(checkpoint, activations)
    allowed = {tap: envelope(exact, ways.values(), tap) for tap in exact}
    right_place = 0
    for fault in faults:
        layer = fault.layer(config.n_layer)
        place = fault.blamed(layer)  # the stage where it is planted
        failed = []
        with np.errstate(all="ignore"):
            trace = Planted(oracle, fault, layer).stage(place, ids, exact, activations)
            for tap, found in trace.items():
                kind = np.float32 if found.dtype == np.float64 else found.dtype
                verdict = judge(found.astype(kind), exact[tap], allowed[tap], np.float32)
                failed += [tap] if verdict.verdict == "FAIL" else []
                if tap == place and verdict.used is not None:
                    used_wrong[fault.id] = max(used_wrong.get(fault.id, 0), verdict.used)
        right_place += failed[:1] == [place]
    print(f"{name}: {right_place} of {len(faults)} faults fail, first where they were planted")
    for order in (Blocked, Pairwise):
        others = [way for other, way in ways.items() if other is not order]
        for tap in stages:
            E = envelope(exact, others, tap)
            if E.rms > 0:  # less the embeddings, which are exact
                used_right.append(judge(ways[order][tap], exact[tap], E, np.float32).used)

assert right_place == len(faults)  # by the probe
print(f"{len(used_right)} right results use at most {max(used_right):.0%} of what is allowed;")
print(f"wrong ones {min(used_wrong.values()):.0f} times as much as is allowed, or more")
assert max(used_right) < 1 < min(used_wrong.values())

# %%
drawn, (left, at_stages) = figure(1, 2, size=(7.5, 2.9))
jitter = np.random.default_rng(0)


def strip(axes, row, values, colour):
    """Dots beside each other in a row, so that each can be seen."""
    up = row + jitter.uniform(-0.25, 0.25, len(values))
    axes.plot(values, up, "o", color=colour, markersize=3, alpha=0.6)


for row, pairs in enumerate(right.values()):
    strip(left, row, [np.abs(found - exact).max() for found, exact in pairs], BLUE)
errors = [np.abs(found - exact).max() for found, exact in wrong["given"].values()]
strip(left, 3, errors, ORANGE)
left.set_yticks(range(4), [f"right, {regime}" for regime in right] + ["wrong, given"])
left.set(xscale="log", xlabel="largest error of a logit", title="Logits: right and wrong overlap")
strip(at_stages, 0, used_right, BLUE)
strip(at_stages, 1, [min(used, 1e12) for used in used_wrong.values()], ORANGE)
at_stages.axvline(1, color="black", linewidth=1)
at_stages.set_yticks(range(2), ["right", "wrong"])
at_stages.set(xscale="log", ylim=(-0.6, 1.6), xlabel="error over what is allowed")
at_stages.set(title="Stages and their envelopes: a gap")
show(drawn, "Errors of right and wrong programs: overlapping in logits, far apart at the stages")

# %% [markdown]
# On the left no line can be drawn between blue and orange. On the right there is room for a factor
# of hundreds, and the line at 1 was not chosen for this model.
#
# ## In this project
#
# `python -m verify` does what this chapter does, and more carefully: an input as short as ours is
# repeated in copies that are moved by a little, so that a few roundings do not decide; near-ties
# are drawn again; PyTorch's own error belongs to the envelope; in 16 bits a *matched filter* finds
# faults that are smaller than an ulp. The faults are planted in every run, into *your* model's
# graph too, as hundreds of mutants. If one of them is not caught, the verdict is UNDERPOWERED and
# not PASS: a test that cannot fail is not a test.
#
# ```sh
# python -m verify --candidate my_model.py:MyGPT2     # your own model, stage by stage
# python -m verify rules                              # published rules on the same faults
# ```

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Write the ulp of a float32 number from its definition, with `math.frexp` or
# `math.log2` and without `np.spacing`. For 0, and for the smallest numbers, the distance is that of
# the *subnormal* numbers: $2^{-149}$.


# %% tags=["exercise"]
def ulp(x): ...  # your turn


# %% tags=["check"]
@check(ulp)
def is_the_gap_to_the_next_float(answer):
    """As np.spacing has it, at powers of two too."""
    for x in (1.0, 1.5, 2.0, 1000.0, 0.1, 3e-5, 16777216.0, 1e30):
        gap = float(np.spacing(np.float32(x)))
        found = answer(float(np.float32(x)))
        assert found == gap, f"at {x:g} the gap is 2^{round(math.log2(gap))}, not {found:.3g}"
    assert answer(-1000.0) == answer(1000.0), "the sign does not matter"
    for x in (0.0, 1e-44, 2.0**-126):
        assert answer(x) == 2.0**-149, f"at {x:g} the gap is 2^-149"


# %% tags=["solution", "hide-input"]
def ulp_solution(x):
    _, exponent = math.frexp(abs(x))  # |x| = m 2^exponent with 0.5 <= m < 1
    return 2.0 ** max(exponent - 24, -149) if x else 2.0**-149


is_the_gap_to_the_next_float(ulp_solution)

# %% [markdown]
# **Exercise 2.** *Compensated summation* (Kahan 1965) keeps what each addition loses. Beside the
# sum $s$ there is a correction $c$, at first 0. For each term $x$: $y = x - c$; $t = s + y$;
# $c = (t - s) - y$; $s = t$. Sum float32 numbers in this way, every operation in float32.


# %% tags=["exercise"]
def compensated_sum(terms): ...  # your turn


# %% tags=["check"]
@check(compensated_sum)
def loses_next_to_nothing(answer):
    """Ten thousand terms, to the last place."""
    terms = np.random.default_rng(4).uniform(0, 1, 10_000).astype(np.float32)
    found = answer(terms)
    assert isinstance(found, np.float32), (
        f"float32 throughout: the result is {type(found).__name__}"
    )
    exact = math.fsum(terms.tolist())
    off = abs(float(found) - exact) / float(np.spacing(np.float32(exact)))
    plain = abs(float(in_sequence(terms)) - exact) / float(np.spacing(np.float32(exact)))
    assert off <= 2, f"off by {off:.1f} ulp, where a plain loop is off by {plain:.1f}"


# %% tags=["solution", "hide-input"]
def compensated_sum_solution(terms):
    total = lost = np.float32(0)
    for term in terms:
        y = term - lost
        t = total + y
        lost = (t - total) - y
        total = t
    return total


loses_next_to_nothing(compensated_sum_solution)

# %% [markdown]
# **Exercise 3.** Write the rule: may `found` pass? `truth` is float64, `evaluations` are correct
# results in float32; $q$ is half an ulp of float32 at the rms of the truth for the first bound, and
# at its largest magnitude for the second. Mind what NaN does to a comparison.


# %% tags=["exercise"]
def may_pass(found, truth, evaluations): ...  # your turn


# %% tags=["check"]
@check(may_pass)
def judges_as_the_project_does(answer):
    """Right, slightly wrong, one wrong element, NaN."""
    draw = np.random.default_rng(6)
    truth = draw.standard_normal((16, 64))
    evaluations = [(truth * (1 + 1e-6 * draw.standard_normal(truth.shape))).astype(np.float32)
                   for _ in range(3)]  # fmt: skip
    right = (truth * (1 + 1e-6 * draw.standard_normal(truth.shape))).astype(np.float32)
    one_off, nan, everywhere = right.copy(), right.copy(), right * np.float32(1 + 3e-6)
    one_off[3, 5] += 4e-5
    nan[0, 0] = np.nan
    assert answer(right, truth, evaluations), "a result as good as the evaluations must pass"
    assert not answer(one_off, truth, evaluations), "one wrong element is enough: max |e|"
    assert not answer(everywhere, truth, evaluations), "a small error everywhere: rms(e)"
    assert not answer(nan, truth, evaluations), "NaN must not pass: accept rather than reject"
    exact = truth.astype(np.float32)
    near, smallest = exact.copy(), np.unravel_index(np.abs(exact).argmin(), exact.shape)
    near[smallest] = np.nextafter(near[smallest], np.float32(9))
    held = exact.astype(np.float64)
    assert answer(near, held, [exact] * 3), "where evaluations are exact, q alone is allowed"


# %% tags=["solution", "hide-input"]
def may_pass_solution(found, truth, evaluations):
    errors = [np.asarray(e, np.float64) - truth for e in (found, *evaluations)]
    rms_of, max_of = [[size(e) for e in errors] for size in (rms, lambda e: np.abs(e).max())]
    q_rms = float(np.spacing(np.float32(rms(truth)))) / 2
    q_max = float(np.spacing(np.float32(np.abs(truth).max()))) / 2
    small = rms_of[0] <= 2 * max(rms_of[1:]) + q_rms
    return bool(small and max_of[0] <= 3 * max(max_of[1:]) + q_max)


judges_as_the_project_does(may_pass_solution)

# %% [markdown]
# ## What to take along
#
# - One operation is off by half an ulp at most. A sum's error depends on its order, and all orders
#   are correct.
# - Correct programs differ, by an amount that depends on the stage, its weights and its input. So
#   it has to be measured, not chosen.
# - Compare stages, not whole runs: an error cannot travel, and the first stage that fails is the
#   broken one.
# - Plant mistakes, and count how many your test catches. Before that you do not know what "PASS"
#   means.
#
# Sources: W. Kahan, "Further remarks on reducing truncation errors" (1965); N. Higham, "Accuracy
# and stability of numerical algorithms" (2nd edition, 2002), chapters 2 to 4.
