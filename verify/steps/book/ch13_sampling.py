# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 13. Sampling: from logits to the next token
#
# A language model does not write. It gives every token of its vocabulary a number, and something
# outside the model has to choose. After this chapter you will know
#
# - what greedy decoding, temperature, top-k, top-p and a repetition penalty do to a distribution,
#   and have each in a few lines of NumPy;
# - that these lines are equal to `impl/sampling.py`, and to the logits processors of transformers;
# - what entropy says about a model's uncertainty, position by position;
# - what a seed promises, and what it does not;
# - why greedy text falls into loops, with figures.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import numpy as np
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from impl.sampling import Sampler
from impl.tokenizer import Tokenizer
from reference.load import TINY_FOLDER, load
from reference.oracle import Oracle
from verify.faults.cache import CachedOracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLACK, BLUE, ORANGE, figure, show

# %% [markdown]
# The model is `tiny`: 1.35 million parameters that have read the King James Bible. We evaluate it
# by the NumPy oracle in float64. `CachedOracle` is the same model with a memory, so that one token
# costs one token: [the next chapter](ch14_kv_cache.py) builds it.

# %%
oracle = Oracle(load("tiny"))
tokenizer = Tokenizer.load(TINY_FOLDER)
prompt = np.array([tokenizer.encode("And it came to pass, when the king")])  # [1, tokens]

logits = CachedOracle(oracle).read(prompt)[0, -1]  # [vocab_size]
best = np.argsort(-logits)[:5]
for token in best:
    print(f"{tokenizer.decode([int(token)])!r:12} logit {logits[token]:6.2f}")

# %% [markdown]
# ## From logits to probabilities
#
# The softmax makes positive numbers of them that sum to 1:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# A constant that is added to every logit cancels, so we may subtract the largest logit first. Then
# the largest exponential is $e^0 = 1$, and nothing overflows.


# %%
def softmax(z):
    """Probabilities from logits, over the last axis."""
    weights = np.exp(z - z.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


assert np.allclose(softmax(logits + 1000), softmax(logits), rtol=0, atol=1e-12)

# %% [markdown]
# ## Temperature
#
# Divide the logits by a temperature $T$ before the softmax: $p_i \propto e^{z_i / T}$. The ratio of
# two probabilities is $e^{(z_i - z_j)/T}$, so a low temperature stretches differences and a high
# one shrinks them. In the limit $T \to 0$ all probability is on the best token, which is greedy
# decoding; for $T \to \infty$ every token is equally likely.
#
# How spread out a distribution is, its **entropy** says:
#
# $$H(p) = -\sum_i p_i \ln p_i \quad\text{in nats, between } 0 \text{ and } \ln V$$
#
# $e^H$ is a number of tokens: a distribution of entropy $H$ is as uncertain as a fair choice
# between $e^H$ of them. Entropy never falls when the temperature rises, because
# $dH/dT = \mathrm{Var}_p(z) / T^3 \ge 0$.


# %%
def at_temperature(z, temperature):
    """Logits divided by a temperature above 0."""
    return z / temperature


def entropy(p):
    """In nats, over the last axis; 0 ln 0 counts as 0."""
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


T, step = 0.9, 1e-5
p = softmax(at_temperature(logits, T))
variance = np.sum(p * logits**2) - np.sum(p * logits) ** 2
slope = (entropy(softmax(logits / (T + step))) - entropy(softmax(logits / (T - step)))) / (2 * step)
print(f"dH/dT: measured {slope:.8f}, by the formula {variance / T**3:.8f}")
assert abs(slope - variance / T**3) < 1e-6 * slope

# %%
temperatures = np.linspace(0.05, 3, 100)
entropies = [entropy(softmax(at_temperature(logits, t))) for t in temperatures]
assert np.all(np.diff(entropies) > 0)

drawn, (left, right) = figure(1, 2, size=(7.5, 3.0))
order = np.argsort(-logits)[:12]
for shift, t in zip((-0.27, 0, 0.27), (0.5, 1.0, 2.0), strict=True):
    left.bar(np.arange(12) + shift, softmax(logits / t)[order], width=0.27, label=f"T = {t}")
names = [repr(tokenizer.decode([int(token)]))[1:-1].replace(" ", "␣") for token in order]
left.set_xticks(range(12), names, rotation=60)
left.set(ylabel="probability", title="The twelve likeliest next tokens")
left.legend()
right.plot(temperatures, entropies)
right.axhline(np.log(len(logits)), color=BLACK, linestyle=":")
right.text(3, np.log(len(logits)) - 0.1, "ln 1024: all tokens alike", ha="right", va="top")
right.set(xlabel="temperature", ylabel="entropy, nats", title="Entropy rises with temperature")
show(drawn, "Probabilities of twelve tokens at three temperatures, and entropy over temperature")

# %% [markdown]
# ## Cut off the tail: top-k and top-p
#
# Each of the 1,024 tokens has a small probability, and those that fit nowhere have many small ones
# together. Over a hundred tokens some of them will be drawn, and one such token can derail the
# text. Two ways to cut the tail:
#
# - **top-k** keeps the $k$ likeliest tokens (Fan et al. 2018). $k$ is the same where the model
#   knows what comes next and where it does not.
# - **top-p** keeps the smallest set of likeliest tokens whose probability reaches $p$, the
#   *nucleus* (Holtzman et al. 2020). It is small where the model is sure.
#
# What is cut off gets the logit $-\infty$, so that its probability is exactly 0, and the softmax
# shares out the rest.


# %%
def top_k(z, k):
    """Logits of one position, those below the k-th best sent to -inf."""
    kth_best = np.sort(z)[-k]
    return np.where(z < kth_best, -np.inf, z)


def top_p(z, p):
    """Logits of one position, all but the nucleus sent to -inf."""
    order = np.argsort(-z, kind="stable")
    likeliest_first = softmax(z)[order]
    better = np.cumsum(likeliest_first) - likeliest_first  # probability of all better tokens
    keep = order[better < p]  # the token that reaches p is still in
    result = np.full_like(z, -np.inf)
    result[keep] = z[keep]
    return result


print(f"the nucleus of 0.9 has {np.isfinite(top_p(logits, 0.9)).sum()} of {len(logits)} tokens")

# %% [markdown]
# Are these right? Two judges that share no code with them: this project's sampler, which draws
# the tokens after MAX has computed the logits, and the *logits processors* of transformers. All of
# them in float64, on the logits of each position of a longer text.

# %%
held_out = (TINY_FOLDER / "heldout.txt").read_text(encoding="utf-8")
text = np.array([tokenizer.encode(held_out)[:128]])
text_logits = CachedOracle(oracle).read(text)[0]  # [128, 1024]

ours = np.stack([softmax(top_p(top_k(at_temperature(z, 0.8), 40), 0.95)) for z in text_logits])

sampler = Sampler(temperature=0.8, top_k=40, top_p=0.95)
worst = np.abs(ours - sampler.probabilities(text_logits)).max()
print(f"largest difference to impl/sampling.py: {worst:.1e}")
assert worst < 1e-12


def by_transformers(z, *processors):
    """Probabilities after transformers' own processors, in float64."""
    scores = torch.from_numpy(z.copy())
    for process in processors:
        scores = process(torch.from_numpy(text), scores)
    return torch.softmax(scores, -1).numpy()


theirs = by_transformers(
    text_logits, TemperatureLogitsWarper(0.8), TopKLogitsWarper(40), TopPLogitsWarper(0.95)
)
print(f"largest difference to transformers:      {np.abs(ours - theirs).max():.1e}")
assert np.abs(ours - theirs).max() < 1e-12

# %% [markdown]
# The order matters. The temperature leaves the order of tokens alone, so it never changes who is
# among the $k$ best; but it does change who is in the nucleus. A library that cuts the nucleus
# first and divides by the temperature afterwards draws from another distribution:

# %%
after = np.mean([np.isfinite(top_p(at_temperature(z, 0.8), 0.95)).sum() for z in text_logits])
before = np.mean([np.isfinite(at_temperature(top_p(z, 0.95), 0.8)).sum() for z in text_logits])
print(f"mean size of the nucleus: temperature first {after:.0f}, temperature last {before:.0f}")
assert after < before

# %% [markdown]
# ## How sure is the model?
#
# The nucleus is small within a fixed phrase ("saying" has a comma after it) and large where nearly
# anything may follow. Below, each position of a held-out text: the entropy of what comes next, and
# how many tokens the nucleus has.

# %%
shown = slice(0, 48)
nucleus = [np.isfinite(top_p(z, 0.9)).sum() for z in text_logits]
entropy_at = entropy(softmax(text_logits))
drawn, axes = figure(size=(7.5, 3.0))
axes.bar(range(48), entropy_at[shown], color=BLUE)
axes.set_ylabel("entropy, nats", color=BLUE)
labels = [tokenizer.decode([int(token)]).replace("\n", "⏎") for token in text[0, shown]]
axes.set_xticks(range(48), labels, rotation=90, fontsize=8)
counts = axes.twinx()
counts.plot(range(48), nucleus[shown], "o", color=ORANGE, markersize=4)
counts.set_ylabel("tokens in the nucleus of 0.9", color=ORANGE)
counts.grid(visible=False)
axes.set_title("After each token: how uncertain the next one is")
axes.margins(x=0.01)
show(drawn, "Entropy of the next token and the size of the nucleus, along a held-out text")

# %% [markdown]
# How good is that uncertainty? If the model were calibrated, the mean entropy would equal the mean
# surprise $-\ln p(\text{token that came})$, whose exponential is the perplexity:

# %%
came = text[0, 1:]
surprise = -np.log(softmax(text_logits[:-1])[np.arange(127), came])
print(f"mean entropy {entropy_at[:-1].mean():.2f} nats, mean surprise {surprise.mean():.2f} nats")
print(f"perplexity of these 127 tokens: {np.exp(surprise.mean()):.1f}")

# %% [markdown]
# ## Draw a token, with a seed
#
# Lay the probabilities end to end between 0 and 1, draw a uniform number $u$, and see in whose
# piece it falls: the first token whose cumulative probability exceeds $u$.


# %%
def draw(p, u):
    """The token in whose piece of the unit interval u falls."""
    cumulative = np.cumsum(p)
    return int(np.searchsorted(cumulative / cumulative[-1], u, side="right"))


probabilities = ours[-1]
drawn = np.array([draw(probabilities, u) for u in np.random.default_rng(0).random(20_000)])
counted = np.bincount(drawn, minlength=len(probabilities))
kept = probabilities > 0
expected = 20_000 * probabilities[kept]
chi_square = np.sum((counted[kept] - expected) ** 2 / expected)
print(f"chi-square {chi_square:.0f} with {kept.sum() - 1} degrees of freedom")
assert counted[~kept].sum() == 0  # what is cut off is never drawn
assert chi_square < 3 * (kept.sum() - 1)

# %% [markdown]
# The same seed gives the same $u$, and with the same logits the same token. Two things can still
# change the text.
#
# 1. **Who shares the stream.** If all rows of a batch take their numbers from one stream, a row's
#    text depends on who sits beside it. A server therefore gives each request a stream of its own.
# 2. **The last bits of the logits.** Another machine or batch size sums in another order
#    ([chapter 15](ch15_is_it_right.py)), so that a cumulative probability moves by about $10^{-7}$.
#    A draw that falls so near to an edge gives another token, and from there another text.

# %%
one_stream = Sampler(seed=7)
alone = [int(one_stream(text_logits[t][None])[0]) for t in range(20)]
one_stream = Sampler(seed=7)
with_neighbour = [int(one_stream(text_logits[[t, t + 40]])[0]) for t in range(20)]
mine, other = Sampler(seed=7), Sampler(seed=8)
with_own_stream = []
for t in range(20):
    with_own_stream.append(int(mine(text_logits[t][None])[0]))
    other(text_logits[t + 40][None])
differ = sum(a != b for a, b in zip(alone, with_neighbour, strict=True))
print(f"one stream for the batch: {differ} of 20 tokens change when a neighbour comes")
assert differ > 0
assert with_own_stream == alone

# %% [markdown]
# ## A repetition penalty
#
# Keskar et al. (2019) make tokens that have already occurred less likely. Their logits are divided
# by $\theta > 1$ if they are positive, and multiplied by $\theta$ if they are negative.


# %%
def penalise(z, seen, theta):
    """Logits of one position, lower for the tokens that were seen."""
    result = z.copy()
    seen = np.unique(seen)
    result[seen] = np.where(z[seen] > 0, z[seen] / theta, z[seen] * theta)
    return result


theirs = by_transformers(text_logits[-1:], RepetitionPenaltyLogitsProcessor(1.3))[0]
worst = np.abs(softmax(penalise(text_logits[-1], text[0], 1.3)) - theirs).max()
print(f"largest difference to transformers: {worst:.1e}")
assert worst < 1e-12

# %% [markdown]
# It works, and it is odd: the softmax does not care where 0 is, but this penalty does. A model that
# adds 10 to every logit is the same model, and is penalised otherwise:

# %%
a = softmax(penalise(text_logits[-1], text[0], 1.3))
b = softmax(penalise(text_logits[-1] + 10, text[0], 1.3))
print(f"the same model, shifted by 10: probabilities differ by up to {np.abs(a - b).max():.2f}")
assert np.abs(a - b).max() > 0.01

# %% [markdown]
# ## Why greedy text loops
#
# Greedy decoding takes the likeliest token each time. It is what this project compares models by,
# since nothing is random in it. As a way to write it fails: the text begins to repeat itself. Let
# us measure that. Twelve prompts from the held-out text are continued side by side, and we count
# the share of 4-grams that occurred before in the same continuation.


# %%
def continue_(prompts, count, choose):
    """Continue prompts [rows, tokens] by `count` tokens; `choose` takes a row's logits and ids."""
    model, ids = CachedOracle(oracle), prompts
    logits = model.read(prompts)[:, -1]
    for _ in range(count):
        new = np.array([[choose(z, row)] for z, row in zip(logits, ids, strict=True)])
        ids = np.concatenate([ids, new], axis=1)
        logits = model.read(new)[:, -1]
    return ids[:, prompts.shape[1] :]


def repeated_share(tokens, n=4):
    """Share of n-grams that occurred before."""
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams)


ids = np.array(tokenizer.encode(held_out))
prompts = np.stack([ids[start : start + 16] for start in range(0, 12 * 90, 90)])
rng = np.random.default_rng(1)
choosers = {
    "greedy": lambda z, row: int(z.argmax()),
    "greedy, penalty 1.3": lambda z, row: int(penalise(z, row, 1.3).argmax()),
    "T = 0.7": lambda z, row: draw(softmax(at_temperature(z, 0.7)), rng.random()),
    "top-p 0.9": lambda z, row: draw(softmax(top_p(z, 0.9)), rng.random()),
    "T = 1": lambda z, row: draw(softmax(z), rng.random()),
}
written = {name: continue_(prompts, 100, choose) for name, choose in choosers.items()}
repeated = {name: np.mean([repeated_share(r) for r in rows]) for name, rows in written.items()}
repeated["the book itself"] = np.mean(
    [repeated_share(ids[s : s + 100]) for s in range(0, 1080, 90)]
)
for name, share in repeated.items():
    print(f"{name:20} {share:6.1%} of 4-grams are repetitions")
assert repeated["greedy"] > 5 * repeated["T = 1"]

# %%
print("greedy:   ", tokenizer.decode(written["greedy"][0].tolist())[:230])
print("top-p 0.9:", tokenizer.decode(written["top-p 0.9"][0].tolist())[:230])

# %% [markdown]
# There are two reasons, and both can be measured.
#
# **A short memory.** Greedy decoding has no other input than the text. If the choice depends on
# the last few tokens alone, then as soon as those occur a second time, everything after them
# follows a second time. How often does the model choose the same token when it sees the last $n$
# tokens and nothing before them?

# %%
whole = np.concatenate([prompts, written["greedy"]], axis=1)  # [12, 116]
looked_at = range(60, whole.shape[1], 4)
chosen = whole[:, looked_at].ravel()
agreement = {}
for n in (1, 2, 4, 8, 16):
    windows = [row[t - n : t] for row in whole for t in looked_at]
    short = CachedOracle(oracle).read(np.array(windows))[:, -1].argmax(axis=-1)
    agreement[n] = np.mean(short == chosen)
    print(f"the last {n:2} tokens alone: {agreement[n]:.0%} of choices are the same")
assert agreement[16] > 0.8

# %% [markdown]
# **Copying.** Attention finds an earlier occurrence of what was just written, and makes likelier
# what followed it there: a good guess about books. So a sentence that stands there once is likelier
# to come again. We take twenty held-out sentences, write each of them eight times in a row, and ask
# how likely its tokens are each time (the geometric mean).

# %%
pieces = [piece.strip() + ":" for piece in held_out.replace(".", ":").split(":")]
sentences = [tokenizer.encode(" " + piece) for piece in pieces]
sentences = [sentence for sentence in sentences if 10 <= len(sentence) <= 24][:20]
log_chances = []
for sentence in sentences:
    again = np.array([tokenizer.encode("And it came to pass.") + sentence * 8])
    chances = softmax(CachedOracle(oracle).read(again)[0, :-1])
    of_tokens = chances[np.arange(again.shape[1] - 1), again[0, 1:]][-8 * len(sentence) :]
    log_chances.append(np.log(of_tokens).reshape(8, -1).mean(axis=1))
geometric = np.exp(np.mean(log_chances, axis=0))
print("by repetition:", np.round(geometric, 3))
assert geometric[1] > 1.3 * geometric[0]

# %% [markdown]
# A model as small as `tiny` copies a little: the second time a token is about 1.6 times as likely
# as the first time, and after that the chance hardly rises. Larger models copy far better: in the
# GPT-2 of Holtzman et al. (2020) the chance of a repeated phrase goes on rising with every
# repetition. Drawing at random breaks both mechanisms: one unlikely token, and the last few tokens
# are new ones.

# %%
drawn, (left, right) = figure(1, 2, size=(7.5, 2.8))
left.plot(list(agreement), [100 * share for share in agreement.values()], "o-")
left.set_xscale("log", base=2)
left.set(xlabel="tokens that the model sees", ylabel="same greedy choice, %", ylim=(0, 100))
left.set(title="Greedy choices need little context")
right.barh(list(repeated)[::-1], [100 * share for share in repeated.values()][::-1])
right.set(xlabel="repeated 4-grams, %", title="Repetition by way of choosing")
show(drawn, "Agreement of greedy choices by context, and repeated 4-grams by way of choosing")

# %% [markdown]
# ## In MAX
#
# `impl/generate.py` runs the same loop: MAX computes the logits, `impl/sampling.py` chooses in
# float64 on the host, so that the same logits and the same seed give the same token on any device.
#
# ```sh
# python -m impl generate "And it came to pass" --temperature 0.8 --top-k 40 --top-p 0.95 --seed 1
# ```
#
# MAX Serve samples inside of its own graph. `python -m verify endpoint` therefore draws 300 tokens
# from a running server and compares them with the oracle's distribution by a chi-square test, as we
# did above.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** *min-p* keeps the tokens that are at least `share` times as likely as the best
# one. Return the logits of one position with all others at $-\infty$. (It can be done without any
# exponential: what is the difference of two logits whose probabilities have the ratio `share`?)


# %% tags=["exercise"]
def min_p(z, share): ...  # your turn


# %% tags=["check"]
@check(min_p)
def keeps_what_transformers_keeps(answer):
    """The same tokens as transformers' MinPLogitsWarper, at every position of the text."""
    for z in text_logits[::8]:
        found = answer(z.copy(), 0.1)
        assert np.shape(found) == z.shape, "return an array of logits as long as z"
        kept = np.isfinite(found)
        assert kept[z.argmax()], "the best token always stays"
        wanted = by_transformers(z[None], MinPLogitsWarper(0.1))[0]
        assert kept.sum() >= (wanted > 0).sum(), "too many tokens are cut off"
        assert kept.sum() <= (wanted > 0).sum(), "too few tokens are cut off"
        assert np.abs(softmax(found) - wanted).max() < 1e-12, "the logits that stay must not change"


# %% tags=["solution", "hide-input"]
def min_p_solution(z, share):
    return np.where(z < z.max() + np.log(share), -np.inf, z)


keeps_what_transformers_keeps(min_p_solution)

# %% [markdown]
# **Exercise 2.** The *Gumbel-max trick* draws a token without any softmax: add to each logit an
# independent number $g = -\ln(-\ln u)$, $u$ uniform in $(0, 1)$, and take the argmax. The token is
# distributed as $\mathrm{softmax}(z / T)$, if the temperature is put in at the right place. Write
# it for an array `u` of as many uniform numbers as there are logits.


# %% tags=["exercise"]
def gumbel_max(z, temperature, u): ...  # your turn


# %% tags=["check"]
@check(gumbel_max)
def draws_from_the_softmax(answer):
    """20,000 draws from six logits, at two temperatures."""
    z = np.array([2.0, 1.0, 0.5, 0.0, -1.0, -30.0])
    for temperature in (0.5, 2.0):
        uniform = np.random.default_rng(5).random((20_000, 6))
        found = [answer(z, temperature, u) for u in uniform]
        assert all(isinstance(t, (int, np.integer)) for t in found), "return one token: an integer"
        seen = np.bincount(found, minlength=6) / 20_000
        off = np.abs(seen - softmax(z / temperature)).max()
        assert off < 0.015, f"at temperature {temperature} frequencies are off by {off:.3f}"


# %% tags=["solution", "hide-input"]
def gumbel_max_solution(z, temperature, u):
    return int(np.argmax(z / temperature - np.log(-np.log(u))))


draws_from_the_softmax(gumbel_max_solution)

# %% [markdown]
# **Exercise 3.** OpenAI's API has a *frequency penalty*: from the logit of each token, `penalty`
# times the number of its occurrences so far is subtracted. Write it, for the logits of one position
# and the tokens seen. Unlike the penalty above it does not care where 0 is.


# %% tags=["exercise"]
def frequency_penalty(z, seen, penalty): ...  # your turn


# %% tags=["check"]
@check(frequency_penalty)
def counts_each_occurrence(answer):
    """By hand on four logits; shifted logits give the same distribution."""
    z, seen = np.array([1.0, 2.0, -1.0, 0.5]), np.array([1, 2, 1, 1])
    found = answer(z.copy(), seen, 0.5)
    assert np.shape(found) == (4,), "return as many logits as came in"
    assert found[1] != 1.5, "token 1 occurred three times: each occurrence counts"
    assert np.allclose(found, [1.0, 0.5, -1.5, 0.5], atol=1e-12), (
        f"expected [1, 0.5, -1.5, 0.5], not {found}"
    )
    shifted = answer(z + 10, seen, 0.5)
    assert np.allclose(softmax(shifted), softmax(found), atol=1e-12), "a shift must not matter"


# %% tags=["solution", "hide-input"]
def frequency_penalty_solution(z, seen, penalty):
    return z - penalty * np.bincount(seen, minlength=len(z))


counts_each_occurrence(frequency_penalty_solution)

# %% [markdown]
# ## What to take along
#
# - A model gives logits; temperature, top-k, top-p and penalties change them; one uniform number
#   chooses. Each is a few lines, and can be checked to the last digit.
# - The order of the processors is part of the definition: temperature, top-k, top-p.
# - Entropy is the model's own statement about its uncertainty, and the nucleus follows it.
# - A seed fixes the random numbers, not the logits. Compare models by greedy decoding, or by their
#   distributions, never by one sampled text.
# - Greedy text loops because its choices depend on the last few tokens, and because models copy.
#
# Sources: A. Fan, M. Lewis, Y. Dauphin, "Hierarchical neural story generation" (2018); N. Keskar et
# al., "CTRL" (2019); A. Holtzman et al., "The curious case of neural text degeneration" (2020).
