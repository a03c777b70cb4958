# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 16. Is it fast? Rooflines and turns
#
# "It takes 2.3 ms" says little. Is that near to what the machine can do? And is a program that
# takes 2.2 ms faster, or was it lucky? After this chapter you will know
#
# - how many operations and how many bytes a prompt and a decode step need;
# - what a machine can do at most, measured in a few lines, and a picture that shows both: the
#   *roofline*;
# - why timing one program after the other calls equal code different, how often, and what to do
#   instead;
# - why a process is one draw, and a thousand measurements of it are still one draw.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import math
import time

import numpy as np
from scipy import stats

from bench.judge.estimate import estimate
from bench.judge.luck import pool_of
from bench.judge.simulation import draw
from bench.match.schedule import quad_order
from bench.results.roofline import least_times
from bench.workload.work import work
from bench.workload.workload import Workload
from impl.config import PRESETS
from reference.load import load
from reference.oracle import Oracle
from reference.trace import Recorder
from verify.faults.cache import CachedOracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLACK, figure, show

checkpoint = load("tiny")
config = checkpoint.config

# %% [markdown]
# ## The work
#
# Two things take time: arithmetic, and moving numbers between memory and the cores.
#
# - **Operations.** A token meets every weight once, a multiplication and an addition each: two
#   operations for each weight. Attention adds $4 D$ for each layer and pair of positions.
# - **Bytes.** Every weight must be read once in each pass, however many tokens the pass has. A
#   decode step also reads the cache of keys and values.
#
# So a prompt of $n$ tokens does $2 n$ operations for each weight of 4 bytes that it reads, and a
# decode step 2. This ratio is the *arithmetic intensity*. `bench/workload/work.py` has the exact
# formulas; first let us see whether they are true. The oracle computes every product by one method,
# which a subclass can watch.


# %%
class Counting(Oracle):
    """Counts the operations of all matrix products."""

    flops = 0

    def matmul(self, a, b):
        result = super().matmul(a, b)
        self.flops += 2 * result.size * a.shape[-1]
        return result


model = Counting(checkpoint)
model.trace(np.zeros((2, 33), np.int64))
prompt = Workload(batch=2, n_prompt=33)
print(f"counted {model.flops:,}, by formula {work(config, prompt, 'float32').flops_executed:,.0f}")
assert model.flops == work(config, prompt, "float32").flops_executed

# %% [markdown]
# (PyTorch's `FlopCounterMode`, over transformers' GPT-2, counts 179,705,856 as well.)

# %%
gpt2 = PRESETS["gpt2"]
print("GPT-2 with 124 million weights in float32:  GFLOP   MB    FLOP per byte")
for workload in (
    Workload(batch=1, n_prompt=1),
    Workload(batch=1, n_prompt=32),
    Workload(batch=1, n_prompt=512),
    Workload(batch=1, n_gen=1, n_depth=512),
    Workload(batch=32, n_gen=1, n_depth=512),
):
    w = work(gpt2, workload, "float32")
    print(f"{workload.name:42} {w.flops / 1e9:6.1f} {w.bytes / 1e6:6.0f} {w.flops / w.bytes:8.1f}")

# %% [markdown]
# A prompt of 512 tokens has an intensity of hundreds, a decode step of one half. Reading is what a
# decode step does. More rows at once raise its intensity, since the rows share the weights; but
# each row brings a cache of its own.
#
# ## What the machine can do
#
# The peak of arithmetic: the best of some square products. The bandwidth: how fast a matrix that is
# multiplied with one vector can be read. A small matrix stays in the caches, so that there are
# several bandwidths. In each case the *fastest* of some calls counts, since whatever else the
# machine does makes a call longer and never shorter.


# %%
def fastest(call, times=5):
    """Seconds of the fastest call."""
    best = math.inf
    for _ in range(times):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


peak = 0.0
for n in (256, 512, 1024):
    square = np.ones((n, n), np.float32)
    peak = max(peak, 2 * n**3 / fastest(lambda square=square: square @ square))
print(f"arithmetic: {peak / 1e9:.0f} GFLOP/s in float32")

bandwidth = {}
for kib in (64, 512, 2048, 5288, 16384, 131072):  # 5,288 KiB are tiny's weights
    matrix = np.ones((kib * 256 // 512, 512), np.float32)
    vector = np.ones(512, np.float32)
    seconds = fastest(lambda m=matrix, v=vector: m @ v, times=7)
    bandwidth[kib] = matrix.nbytes / seconds
    print(f"reading {kib / 1024:6.2f} MiB: {bandwidth[kib] / 1e9:6.1f} GB/s")

# %% [markdown]
# ## The roofline
#
# A pass of $F$ operations and $B$ bytes, on a machine that does $P$ operations and reads $R$ bytes
# a second, cannot take less time $t$ than its operations need, nor less than its bytes need:
#
# $$
# t \ge \max\left(\frac{F}{P},\ \frac{B}{R}\right)
# \quad\Longleftrightarrow\quad
# \frac{F}{t} \le \min\left(P,\ \frac{F}{B}\, R\right)
# $$
#
# Over the intensity $F / B$ this bound is a slope and a flat roof (Williams et al. 2009). Under the
# slope a program is limited by memory, under the roof by arithmetic; the *ridge* between them lies
# at $P / R$. Where is our oracle?

# %%
oracle = Oracle(checkpoint, np.float32)
cached = CachedOracle(oracle)  # chapter 14
cached.read(np.arange(128)[None])


def forward(n):
    """A prompt of n tokens."""
    oracle.tap = Recorder()
    oracle.language_model(np.arange(n)[None])


calls = {Workload(batch=1, n_gen=1, n_depth=128): lambda: cached.read(np.zeros((1, 1), np.int64))}
for n in (1, 4, 16, 64, 256):
    calls[Workload(batch=1, n_prompt=n)] = lambda n=n: forward(n)

speeds = {}
for workload, call in calls.items():
    w, seconds = work(config, workload, "float32"), fastest(call)
    least = max(least_times(w, peak, bandwidth[5288]))
    speeds[workload.name] = (w.flops / w.bytes, w.flops / seconds)
    print(f"{workload.name:10} {1e3 * seconds:7.2f} ms; the limits allow {1e3 * least:6.2f} ms, "
          f"{least / seconds:.0%} of it")  # fmt: skip

drawn, axes = figure(size=(6.4, 3.4))
intensity = np.logspace(-1, 3, 200)
for kib, label in ((5288, "weights of tiny (5 MiB)"), (131072, "from memory (128 MiB)")):
    roof = np.minimum(peak, intensity * bandwidth[kib])
    axes.loglog(intensity, roof / 1e9, label=f"roof, {label}")
for name, (at, flops) in speeds.items():
    axes.plot(at, flops / 1e9, "o", color=BLACK)
    above = 5 if name.startswith("tg") else -11
    axes.annotate(name, (at, flops / 1e9), (4, above), textcoords="offset points", fontsize=8)
axes.set(xlabel="arithmetic intensity, FLOP per byte", ylabel="GFLOP/s")
axes.set_title("Roofline of this machine, and the oracle in float32 on tiny")
axes.legend(loc="lower right", fontsize=8)
show(drawn, "A roofline with two bandwidths; a decode step and five prompts below it")

# %% [markdown]
# The distance to the roof is what can be gained. A single token lies far below it, with a cache or
# without: a few hundred calls of NumPy cost more than 2.5 million operations. Longer prompts come
# nearer; where this was written they stop well below half. Norms, softmax and GELU are no work by
# our count, and NumPy takes its time for them. For a large model the picture is another one, since
# each call does more: there decode sits on the slope, and the only ways up are to read fewer bytes
# (16-bit weights) or to read them once for several rows.
#
# `python -m bench` measures both ceilings in every run, between the arms' turns: a bandwidth for as
# many bytes as the weights have, and a peak from multiply-adds in registers, by a kernel in Mojo,
# since a library's product is not the limit of a machine. A row above 100% is an error in the model
# of the work, and is not shown.
#
# ## Is A faster than B?
#
# Measure A, then B, and compare the means. Let us see what that is worth, where A and B are *the
# same code*. Below is one and the same product, called again and again.

# %%
a = np.ones((192, 192), np.float32)
series = np.array([fastest(lambda: a @ a, times=1) for _ in range(2400)])

drawn, axes = figure(size=(7.5, 2.4))
axes.plot(1e6 * series, ".", markersize=2)
axes.set_ylim(0.9e6 * series.min(), 1.4e6 * np.median(series))  # what is above is left out
axes.set(xlabel="call", ylabel="µs", title="The same product, 2,400 times")
show(drawn, "Times of 2,400 equal calls, with slow and fast phases")

# %% [markdown]
# On most machines there are phases: the clock changes, neighbours come and go. An *A/A comparison*
# gives each call of a stretch to A or to B. Both are equal, so a test at 5% should call them
# different in 5% of the comparisons. Two ways to hand out 40 calls:
#
# - **one after the other**: 20 calls of A, then 20 of B, and Welch's t-test;
# - **in turns**: quads A B B A. The logarithm of a quad's ratio is one number,
#   $\frac{1}{2} (\ln A_1 + \ln A_2 - \ln B_1 - \ln B_2)$; whatever lasts longer than a quad, and
#   whatever drifts steadily through it, drops out. The test is a t-test of ten numbers against 0.


# %%
def differs_in_sequence(times):
    """Whether a test at 5% calls the first half and the second different."""
    half = len(times) // 2
    logs = np.log(times)
    return stats.ttest_ind(logs[:half], logs[half:], equal_var=False).pvalue < 0.05


def differs_in_turns(times):
    """Whether a test at 5% calls A and B different, which took turns as A B B A."""
    quads = np.log(times).reshape(-1, 4)
    ratios = (quads @ np.array([1, -1, -1, 1])) / 2
    return stats.ttest_1samp(ratios, 0).pvalue < 0.05


stretches = series.reshape(-1, 40)
for name, differs in (("one after the other", differs_in_sequence), ("in turns", differs_in_turns)):
    share = np.mean([differs(times) for times in stretches])
    print(f"measured here, {name:19}: equal code called different in {share:.0%} of 60 comparisons")

# %% [markdown]
# What you see above depends on your machine at this minute. A quiet one has no phases to speak of
# within half a second, and both ways are right; on a machine shared with others, comparisons one
# after the other were seen to call equal code different in up to 60% of windows
# (`bench/README.md`). So here is a machine that we know: each call is off by 1% at random, and the
# machine has a state that wanders, with a standard deviation of 2% and a memory of about 50 calls.


# %%
def simulated(rng, count, memory=50):
    """Times of equal calls on a machine with slow and fast phases."""
    keep = math.exp(-1 / memory)
    state, states = 0.02 * rng.standard_normal(), []
    for kick in rng.standard_normal(count):
        state = keep * state + math.sqrt(1 - keep**2) * 0.02 * kick
        states.append(state)
    return np.exp(np.array(states) + 0.01 * rng.standard_normal(count))


rng = np.random.default_rng(16)
windows = [simulated(rng, 40) for _ in range(1000)]
alarms = {
    "one after the other": np.mean([differs_in_sequence(times) for times in windows]),
    "in turns": np.mean([differs_in_turns(times) for times in windows]),
}
for name, share in alarms.items():
    print(f"simulated, {name:19}: equal code called different in {share:.1%} of 1,000 comparisons")
assert alarms["one after the other"] > 0.4
assert alarms["in turns"] < 0.08

# %% [markdown]
# The t-test is not to blame. It takes its 20 values for independent, and 20 values of one phase are
# hardly more than one. More calls do not help, and repeating the whole later does not either, if A
# is again measured before B.
#
# ## A process is one draw
#
# Turns do not remove everything. Where the code and the buffers of a *process* happen to lie in
# memory makes it faster or slower than its like, for as long as it lives: by half a percent on the
# machines where this project was measured. So a comparison of one process of A with one of B finds,
# with enough turns, a difference that is real and is not the code's.
#
# We simulate it. Processes of equal code differ by 0.45%, quads by 2.5%. One process of each, or
# five: then each pair of processes gives one mean, and the test is over the five means.


# %%
def called_different(rng, processes, quads, runs=500):
    """Share of runs of equal code that a t-test at 5% calls different."""
    luck = 0.0045 * rng.standard_normal((runs, processes, 2))
    noise = 0.025 * rng.standard_normal((runs, processes, quads))
    ratios = (luck[..., 0] - luck[..., 1])[..., None] + noise
    values = ratios[:, 0] if processes == 1 else ratios.mean(axis=2)
    return np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05)


quads = [3, 10, 30, 100, 300, 1000]
one = [called_different(rng, 1, n) for n in quads]
five = [called_different(rng, 5, n) for n in quads]
assert one[-1] > 0.5
assert max(five) < 0.1

drawn, axes = figure(size=(6.4, 2.8))
axes.semilogx(quads, [100 * share for share in one], "o-", label="one process of each")
axes.semilogx(quads, [100 * share for share in five], "o-", label="five processes of each")
axes.axhline(5, color=BLACK, linewidth=0.8, linestyle=":")
axes.set(xlabel="quads in each process", ylabel="called different, %", ylim=(0, 100))
axes.set_title("Equal code: more turns of one process make false alarms certain")
axes.legend()
show(drawn, "False alarms over the number of quads: one process rises to most, five stay at 5%")

# %% [markdown]
# More turns of the same two processes make it *worse*: the interval shrinks around the luck of
# these two. Five processes of each keep the 5%, however many turns they take.
#
# Five numbers make a wide interval. `bench/judge/estimate.py` does better: what processes differ by
# is pooled over all arms of a run and over earlier runs on the machine. On simulated runs of equal
# code:

# %%
wrong, widths = 0, []
for _ in range(200):
    arms = draw(rng, "normal", 3, 5, 6)  # three arms, five processes of each, six quads
    ratio = estimate(arms[0], arms[1], pool_of(arms))
    wrong += not ratio.low <= 1 <= ratio.high
    widths.append(math.log(ratio.high / ratio.low) / 2)
half = np.median(widths)
print(f"called different in {wrong / 200:.1%} of 200 runs; half an interval is {half:.1%}")
assert wrong / 200 < 0.12

# %% [markdown]
# ## In this project
#
# ```sh
# python -m bench            # MAX's engine and PyTorch in turns, five processes of each
# python -m bench null       # how often equal code is called different on your machine
# python -m bench ceilings   # what it can read and compute at most
# ```
#
# The first speaks of FASTER, SLOWER, SAME (within 1%) or INCONCLUSIVE; it shows no speed of a model
# that has not been verified; and a run always contains the baseline beside itself.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** From how many rows on is a decode step limited by arithmetic? Ignore the cache and
# attention: $B$ rows do $2 B$ operations for each weight, and each weight is read once. `peak` is
# in operations and `bandwidth` in bytes a second, `weight_bytes` is what a weight takes. Return the
# smallest whole number of rows for which arithmetic takes at least as long as reading.


# %% tags=["exercise"]
def rows_at_the_ridge(peak, bandwidth, weight_bytes): ...  # your turn


# %% tags=["check"]
@check(rows_at_the_ridge)
def meets_the_ridge(answer):
    """Two machines, and both sides of the ridge."""
    assert answer(100e9, 20e9, 4) == 10, "at 100 GFLOP/s, 20 GB/s and 4 bytes it is 10 rows"
    assert answer(100e9, 20e9, 2) == 5, "weights of 2 bytes are read twice as fast"
    rows = answer(989e12, 3.35e12, 2)  # an H100's bfloat16, by its data sheet
    assert isinstance(rows, int), "a whole number of rows"
    assert 2 * rows / 989e12 >= 2 / 3.35e12, f"with {rows} rows reading still takes longer"
    assert 2 * (rows - 1) / 989e12 < 2 / 3.35e12, f"{rows - 1} rows are enough"


# %% tags=["solution", "hide-input"]
def rows_at_the_ridge_solution(peak, bandwidth, weight_bytes):
    return math.ceil(weight_bytes * peak / (2 * bandwidth))


meets_the_ridge(rows_at_the_ridge_solution)

# %% [markdown]
# **Exercise 2.** Write a schedule for any number of arms: a random order and then its reverse, so
# that each arm runs twice and a steady drift is the same for all. `shuffle` is a function that
# shuffles a list in place.


# %% tags=["exercise"]
def turns_of(arms, shuffle): ...  # your turn


# %% tags=["check"]
@check(turns_of)
def drift_drops_out(answer):
    """Every arm twice, at the same mean position, in orders that vary."""
    arms, rng, firsts = ["max", "torch", "onnxruntime"], np.random.default_rng(2), set()
    for _ in range(20):
        order = answer(list(arms), rng.shuffle)
        assert sorted(order) == sorted(arms * 2), "every arm takes two turns"
        for arm in arms:
            at = [place for place, name in enumerate(order) if name == arm]
            assert sum(at) == 5, f"{arm} runs at {at}: a drift would count for or against it"
        firsts.add(order[0])
    assert firsts == set(arms), "the same arm is always first: shuffle"
    assert arms == ["max", "torch", "onnxruntime"]
    assert len(answer(list(arms), rng.shuffle)) == len(quad_order(arms, rng))


# %% tags=["solution", "hide-input"]
def turns_of_solution(arms, shuffle):
    order = list(arms)
    shuffle(order)
    return order + order[::-1]


drift_drops_out(turns_of_solution)

# %% [markdown]
# **Exercise 3.** A 95% interval for a ratio. `a` and `b` are times `[processes, quads, 2]`: in each
# quad each arm has two turns, and the same row of both is a pair of processes. Return `(low, high)`
# for the ratio of times $a/b$, from one mean of logarithms per pair of processes. The pairs ran at
# different times, on a machine that was slower or faster; what both arms of a pair share drops out
# of their ratio.


# %% tags=["exercise"]
def ratio_interval(a, b): ...  # your turn


# %% tags=["check"]
@check(ratio_interval)
def is_honest(answer):
    """Right about equal code 95 times in 100, and finds 5%."""
    rng = np.random.default_rng(3)
    inside = found = 0
    for _ in range(300):
        luck = np.exp(0.0045 * rng.standard_normal((2, 5, 1, 1)))
        # What both arms share: the machine while a pair of processes ran, and in each quad.
        phases = 0.05 * (rng.standard_normal((5, 1, 1)) + rng.standard_normal((5, 100, 1)))
        a, b = luck * np.exp(phases + 0.02 * rng.standard_normal((2, 5, 100, 2)))
        low, high = answer(a, b)
        assert low < high, "low comes first"
        inside += low <= 1 <= high
        low, high = answer(1.05 * a, b)
        found += low > 1
    assert inside < 299, "1 is always inside: this interval is too wide"
    assert inside > 270, f"equal code is called different in {300 - inside} of 300 runs"
    assert found > 285, f"a difference of 5% is found in {found} of 300 runs only"


# %% tags=["solution", "hide-input"]
def ratio_interval_solution(a, b):
    means = (np.log(a) - np.log(b)).mean(axis=(1, 2))  # one for each pair of processes
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return float(np.exp(means.mean() - half)), float(np.exp(means.mean() + half))


is_honest(ratio_interval_solution)

# %% [markdown]
# ## What to take along
#
# - Count operations and bytes before you time anything. Prompts are limited by arithmetic, decoding
#   by reading.
# - The roofline says how far there is to go. Measure both ceilings on the machine, in the same run.
# - Two programs are compared in turns. One after the other, equal code differs as often as not.
# - A process is one draw: more turns of it tell more about the process, and not about the code.
# - Give an interval, and know by experiment how often it is wrong.
#
# Sources: S. Williams, A. Waterman, D. Patterson, "Roofline" (2009); J. Chen, J. Revels, "Robust
# benchmarking in noisy environments" (2016), on the fastest of some calls.
