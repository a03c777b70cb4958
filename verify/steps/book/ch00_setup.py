# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 0. Setup
#
# After this chapter you know what this book needs and whether your machine has it, how its parts
# work together with the checks of this project, and the one thing about computers that a book on
# numbers cannot do without: floating-point numbers are rounded, and how much.
#
# ## What you need
#
# Python 3.11 to 3.13, on Linux. No accelerator, no account, no download beyond the packages: the
# trained model `tiny` lies in this repository. From its root:
#
# ```sh
# python3 .ci/install.py -r requirements-dev.txt -c constraints.txt   # what all of it runs with
# python verify/steps/book/ch02_attention.py                          # a chapter, as a script
# tox -e book -- --open                                               # all of it, as pages
# ```
#
# Each chapter is a Python file in *percent format*: `# %%` begins a cell. VS Code and PyCharm run
# it cell by cell; Jupyter opens it with the `jupytext` extension. You should know Python and matrix
# products, and have met a derivative. Everything else is built here.
#
# ## How the pieces fit
#
# | you want to | use |
# |---|---|
# | understand a part, with NumPy and PyTorch | the chapters of this book |
# | build a GPT-2 in MAX yourself, step by step | `python -m verify learn` |
# | have one step of yours checked | `python -m verify step 7 my_attention.py` |
# | know whether a whole model is right | `python -m verify --candidate my_model.py:MyGPT2` |
# | know how fast it is | `python -m bench` |
#
# What the book calls *the reference* is `reference/oracle.py`: a GPT-2 in NumPy in float64, which
# Hugging Face's model must agree with before anything else counts.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch

from reference.load import load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, show

rng = np.random.default_rng(0)

# %% [markdown]
# ## Does it work here?

# %%
assert sys.version_info[:2] >= (3, 11), "Python 3.11 or later is needed"
print("Python      ", sys.version.split()[0])
for name in ("numpy", "torch", "transformers", "tokenizers", "matplotlib"):
    print(f"{name:<12}", version(name))
print("max         ", version("max") if find_spec("max") else "not here: chapter 10 needs it")

# %% [markdown]
# And the model: the reference loads `tiny` and predicts what follows.

# %%
checkpoint = load("tiny")
ids = np.array([[488, 356, 474, 289, 622]])  # "And it came to pass"
logits = Oracle(checkpoint).trace(ids)["lm_head"][0, -1]
print("parameters:", sum(w.size for w in checkpoint.weights.values()))
print("the next token after 'And it came to pass' has id", logits.argmax(), "(a comma is 12)")
assert logits.argmax() == 12

# %% [markdown]
# ## Numbers are rounded
#
# A float has a sign, an exponent and a **significand** of fixed length: 24 bits in float32, 53 in
# float64, 8 in bfloat16. Between two neighbouring floats there is nothing. The distance of 1 to the
# next larger float is called the machine epsilon, $\varepsilon = 2^{1 - p}$ for $p$ bits:

# %%
for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
    info = torch.finfo(dtype)
    print(f"{dtype!s:<15} epsilon {info.eps:.2e}, largest {info.max:.2e}")
assert np.finfo(np.float32).eps == 2.0**-23
assert np.finfo(np.float64).eps == 2.0**-52

print("0.1 + 0.2 == 0.3:", 0.1 + 0.2 == 0.3)
print("1 + 1e-8 == 1 in float32:", np.float32(1) + np.float32(1e-8) == np.float32(1))

# %% [markdown]
# Every operation rounds its result to the nearest float:
# $\mathrm{fl}(a \circ b) = (a \circ b)(1 + \delta)$ with $|\delta| \le \varepsilon / 2$. One such
# error is nothing. But the rounding depends on the *order*, so that floating-point addition is not
# associative:

# %%
a, b, c = np.float32(1e8), np.float32(-1e8), np.float32(1)
print("(a + b) + c =", (a + b) + c)
print("a + (b + c) =", a + (b + c))
assert (a + b) + c != a + (b + c)

# %% [markdown]
# That is why two correct programs give different numbers. A matrix product sums thousands of terms,
# and NumPy, PyTorch and MAX sum them in different orders. "Are they equal?" is then the wrong
# question. The right one is: *is the difference as small as rounding explains?* Let us see how
# large that is, for sums of $n$ random numbers in float32, one after the other and in pairs (as a
# tree), against float64.


# %%
def one_by_one(x):
    """The sum of each row of x [rows, n], term after term, in x's precision."""
    total = np.zeros(len(x), x.dtype)
    for column in x.T:
        total = total + column
    return total


def in_pairs(x):
    """The same as a tree: neighbours are added until one number is left; n is a power of 2."""
    while x.shape[1] > 1:
        x = x[:, ::2] + x[:, 1::2]
    return x[:, 0]


lengths = [2**k for k in range(3, 15)]
errors = {"one by one": [], "in pairs": []}
for n in lengths:
    x = rng.uniform(0, 1, size=(50, n)).astype(np.float32)
    exact = x.astype(np.float64).sum(axis=1)
    for name, adding in (("one by one", one_by_one), ("in pairs", in_pairs)):
        errors[name].append((np.abs(adding(x) - exact) / exact).mean())

drawn, axes = figure(size=(6.0, 2.8))
for (name, error), style in zip(errors.items(), ("o-", "s--"), strict=True):
    axes.loglog(lengths, error, style, base=2, label=name)
axes.axhline(np.finfo(np.float32).eps / 2, color="0.5", linestyle=":", label="half an epsilon")
axes.set(title="relative error of a sum in float32", xlabel="terms")
axes.legend()
show(drawn, "The error of a sum grows with the number of terms, one by one faster than in pairs")
print(
    f"16384 terms: {errors['one by one'][-1]:.1e} one by one, {errors['in pairs'][-1]:.1e} in pairs"
)
assert errors["in pairs"][-1] < errors["one by one"][-1] / 5

# %% [markdown]
# Two habits follow, and this book keeps both:
#
# 1. **Compare in float64.** There, rounding is near $10^{-16}$, and a mistake in the mathematics
#    stands out by many orders of magnitude. Most assertions in these chapters allow $10^{-12}$.
# 2. **Derive a tolerance, or measure one.** A tolerance that was widened until the test passed
#    proves nothing. [Chapter 15](ch15_is_it_right.py) shows how this project does it in float32.
#
# Here is the first habit at work on `tiny`: the same program, in float32 and in float64, and a
# program with a wrong epsilon in its layer norm ($10^{-6}$ for $10^{-5}$), in float64.


# %%
class WrongEpsilon(Oracle):
    """The reference with one constant changed."""

    def normalise(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


exact = Oracle(checkpoint).trace(ids)["lm_head"]
rounded = np.abs(Oracle(checkpoint, np.float32).trace(ids)["lm_head"] - exact).max()
wrong = np.abs(WrongEpsilon(checkpoint).trace(ids)["lm_head"] - exact).max()
print(f"float32, right: {rounded:.1e} away. float64, wrong epsilon: {wrong:.1e} away")
assert rounded < 1e-4
assert wrong > 1e-6

# %% [markdown]
# In float64, where rounding is near $10^{-14}$, the wrong constant cannot hide. In float32 it
# could: it is small beside logits of 10 and more, and an `allclose` with a tolerance of 1% lets it
# pass.
#
# ## Exercises
#
# Each exercise of this book is a function to write, a check that says whether it is right, and a
# solution (folded away in the pages). As long as you have not written anything, the check says so,
# and the chapter runs on.
#
# **Exercise 1.** Find the machine epsilon of a NumPy dtype without asking NumPy: halve a number
# until adding it to 1 no longer makes a difference.


# %% tags=["exercise"]
def epsilon_of(dtype):
    """The distance of 1 to the next larger number of that dtype."""
    ...  # your turn


# %% tags=["check"]
@check(epsilon_of)
def as_numpy_has_it(answer):
    """For three precisions."""
    for dtype in (np.float16, np.float32, np.float64):
        wanted = np.finfo(dtype).eps
        assert answer(dtype) == wanted, f"{np.dtype(dtype)}: the last e for which 1 + e is not 1"


# %% tags=["solution", "hide-input"]
def solution_1(dtype):
    one, e = dtype(1), dtype(1)
    while one + e / dtype(2) != one:
        e = e / dtype(2)
    return e


as_numpy_has_it(solution_1)

# %% [markdown]
# **Exercise 2.** $\log \sum_i \exp(x_i)$ is in every cross-entropy. Written as it stands, it
# overflows for $x_i = 1000$. Write it so that it does not: take the largest $x_i$ out first.


# %% tags=["exercise"]
def log_sum_exp(x):
    """x [n]: a number."""
    ...  # your turn


# %% tags=["check"]
@check(log_sum_exp)
def large_numbers_do_no_harm(answer):
    """Against PyTorch's, for small and large numbers."""
    for x in (np.array([0.0, 0.0]), np.array([1000.0, 999.0]), np.array([-2000.0, -2001.5])):
        with np.errstate(over="ignore", divide="ignore"):
            found = answer(x)
        wanted = torch.logsumexp(torch.from_numpy(x), dim=0).item()
        assert np.isclose(found, wanted, rtol=1e-14), f"{x}: {wanted}, and not {found}"


# %% tags=["solution", "hide-input"]
def solution_2(x):
    largest = x.max()
    return largest + np.log(np.exp(x - largest).sum())


large_numbers_do_no_harm(solution_2)

# %% [markdown]
# **Exercise 3.** Kahan's sum carries along what each addition has rounded away, and adds it to the
# next term: with a correction $k$, $y = x_i - k$, $t = s + y$, $k = (t - s) - y$, $s = t$. Write it
# in float32. It should be as exact as one rounding, however many terms there are.


# %% tags=["exercise"]
def kahan(x):
    """x [n] of float32: the sum, in float32 all the way."""
    ...  # your turn


# %% tags=["check"]
@check(kahan)
def nearly_nothing_is_lost(answer):
    """20,000 terms, in float32, within one epsilon."""
    x = np.random.default_rng(0).uniform(0, 1, size=20_000).astype(np.float32)
    found = answer(x)
    assert found.dtype == np.float32, "everything stays in float32"
    exact = x.astype(np.float64).sum()
    assert abs(found - exact) <= exact * np.finfo(np.float32).eps, "the correction is not used"


# %% tags=["solution", "hide-input"]
def solution_3(x):
    total = correction = np.float32(0)
    for term in x:
        y = term - correction
        new = total + y
        correction = (new - total) - y
        total = new
    return total


nearly_nothing_is_lost(solution_3)

# %% [markdown]
# ## What to take along
#
# - Chapters explain, `python -m verify learn` lets you build, `python -m verify` judges the whole.
# - Floats are rounded at each operation, and the order of a sum matters. Correct programs differ.
# - Compare in float64 first: there a mistake is many orders of magnitude larger than rounding.
# - A tolerance is derived or measured. It is never widened until something passes.
