# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 9. The complete encoder-decoder transformer
#
# All parts are on the table: attention, heads, positions, feed-forward layers, normalisation,
# residuals. This chapter puts them together as Vaswani et al. did in 2017, in "Attention is all you
# need": twice, in NumPy and in PyTorch. After it you know
#
# - how an encoder and a decoder fit together, and the three places where attention is used;
# - which masks are needed, and how to show that they work;
# - that the two versions compute the same function, to $10^{-12}$, and PyTorch's own layers too;
# - how it is trained with the right answer as input ("teacher forcing"), and used without;
# - what its cross-attention looks at when it turns dates from one form into another.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import calendar
import datetime
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, heatmap, show

torch.manual_seed(9)
torch.set_num_threads(1)

# %% [markdown]
# ## A small task
#
# People write a date in many ways. We want one: year, month, day.
#
# | source | target |
# |---|---|
# | `5 march 1987` | `1987-03-05` |
# | `march 5, 1987` | `1987-03-05` |
# | `5.3.1987` | `1987-03-05` |
#
# It is a translation in small. Most of the answer can be copied, but from other places; the names
# of months have to be known, and single digits become two. A token is one character. Three of them
# are special: `_` fills up short texts, `<` begins an answer, and `>` ends it.

# %%
PAD, BEGIN, END = "_", "<", ">"
CHARACTERS = PAD + BEGIN + END + " ,-.0123456789abcdefghijklmnopqrstuvwxyz"
NUMBER = {character: number for number, character in enumerate(CHARACTERS)}
MONTHS = [name.lower() for name in calendar.month_name[1:]]
SOURCE_LENGTH, TARGET_LENGTH = 18, 12  # of `september 30, 1987` and of `<1987-09-30>`


def pair(day):
    """A date as somebody wrote it, and in the form that we want."""
    month = MONTHS[day.month - 1]
    forms = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day}.{day.month}.{day.year}",
    )
    return draw.choice(forms), day.isoformat()


def numbers(texts, length):
    """Texts as token ids, filled up: [texts, length]."""
    return np.array([[NUMBER[character] for character in t.ljust(length, PAD)] for t in texts])


draw = random.Random(9)
first, last = (datetime.date(year, 1, 1).toordinal() for year in (1900, 2100))
days = [datetime.date.fromordinal(ordinal) for ordinal in range(first, last)]
draw.shuffle(days)
test_days, training_days = days[:500], days[500:]
for day in test_days[:3]:
    print(*pair(day), sep="  ->  ")

# %% [markdown]
# ## The plan
#
# - The **encoder** reads the whole source. Each of its layers is self-attention, in which every
#   position sees every other, then a feed-forward layer.
# - The **decoder** writes the target, one token after the other. Each of its layers is
#   self-attention with a causal mask, then **cross-attention** (queries from the decoder, keys and
#   values from the encoder's result), then a feed-forward layer.
# - Around each part: $x \leftarrow \mathrm{LN}(x + \mathrm{part}(x))$, the first transformer's
#   order.
# - Tokens are embedded as $\sqrt{D}\,E[\text{id}]$ plus sinusoids for positions, and the scores of
#   the next token are products with the same $E$.
#
# For heads $i = 1, \ldots, h$ of $D/h$ features each, with queries from $x$ and keys and values
# from a memory $m$ (which is $x$ itself in self-attention):
#
# $$
# \mathrm{MHA}(x, m) = \Big[\ldots,\;
# \mathrm{softmax}\Big(\frac{(x W^Q_i)(m W^K_i)^\top}{\sqrt{D/h}} + \mathrm{mask}\Big)\, m W^V_i,
# \;\ldots\Big]\, W^O
# $$
#
# ## In NumPy
#
# Weights come in a dictionary, by name. `w(name)` finds them, and `inside` is a part's own `w`.

# %%
D, HEADS, LAYERS, INNER = 64, 4, 2, 128


def inside(w, name):
    return lambda inner: w(f"{name}.{inner}")


def linear(x, w):
    return x @ w("weight").T + w("bias")  # PyTorch lays weights out as [out, in]


def layer_norm(x, w):
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * w("weight") + w("bias")


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(x, memory, allowed, w):
    """x [B, T, D], memory [B, S, D], allowed [.., T, S] of bool: [B, T, D]."""

    def heads(y):  # [B, length, D] -> [B, H, length, D / H]
        return y.reshape(*y.shape[:2], HEADS, D // HEADS).swapaxes(1, 2)

    query = heads(linear(x, inside(w, "query")))
    key, value = (heads(linear(memory, inside(w, name))) for name in ("key", "value"))
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(D // HEADS)  # [B, H, T, S]
    weights = softmax(np.where(allowed, scores, -np.inf))
    mixed = (weights @ value).swapaxes(1, 2).reshape(x.shape)
    return linear(mixed, inside(w, "out"))


def feed_forward(x, w):
    return linear(np.maximum(linear(x, inside(w, "wide")), 0), inside(w, "narrow"))


# %% [markdown]
# The masks say which keys a query may see. In the source, filling is hidden from everybody. In the
# target, what lies ahead is hidden: when the model is used, it is not there yet.


# %%
def padding_mask(source):
    """[B, S] of ids -> [B, 1, 1, S]: True where a key may be seen."""
    return (source != NUMBER[PAD])[:, None, None, :]


def causal_mask(length):
    """[T, T], rows are queries: True at and before each."""
    return np.tril(np.ones((length, length), bool))


def sinusoids(length):
    """[length, D]: sines and cosines of the position, from fast to slow."""
    rates = 10_000.0 ** (-np.arange(0, D, 2) / D)
    angles = np.arange(length)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, D)


def embed(ids, w):
    return np.sqrt(D) * w("embedding.weight")[ids] + sinusoids(ids.shape[1])


# %% [markdown]
# And the whole:


# %%
def encode(source, w):
    """Token ids [B, S] -> what the encoder makes of them [B, S, D]."""
    x, visible = embed(source, w), padding_mask(source)
    for layer in range(LAYERS):
        here = inside(w, f"encoder.{layer}")
        x = layer_norm(x + attention(x, x, visible, inside(here, "look")), inside(here, "norm_1"))
        x = layer_norm(x + feed_forward(x, inside(here, "think")), inside(here, "norm_2"))
    return x


def decode(target, memory, visible, w):
    """Token ids [B, T] so far, and the encoder's result -> scores of each next token [B, T, V]."""
    x, causal = embed(target, w), causal_mask(target.shape[1])
    for layer in range(LAYERS):
        here = inside(w, f"decoder.{layer}")
        x = layer_norm(x + attention(x, x, causal, inside(here, "look")), inside(here, "norm_1"))
        crossed = attention(x, memory, visible, inside(here, "cross"))
        x = layer_norm(x + crossed, inside(here, "norm_2"))
        x = layer_norm(x + feed_forward(x, inside(here, "think")), inside(here, "norm_3"))
    return x @ w("embedding.weight").T


def transformer(source, target, w):
    return decode(target, encode(source, w), padding_mask(source), w)


# %% [markdown]
# ## In PyTorch
#
# The same, as modules, so that autograd can train it. The attributes are named as the dictionary
# above has them. Attention keeps its weights, for the pictures.


# %%
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(D, D) for _ in range(4))

    def forward(self, x, memory, allowed):
        query, key, value = (
            layer(y).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer, y in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        scores = query @ key.mT / (D // HEADS) ** 0.5
        self.weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)  # [B, H, T, S]
        return self.out((self.weights @ value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Linear(D, INNER), nn.Linear(INNER, D)

    def forward(self, x):
        return self.narrow(torch.relu(self.wide(x)))


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.look, self.think = Attention(), FeedForward()
        self.norm_1, self.norm_2 = nn.LayerNorm(D), nn.LayerNorm(D)

    def forward(self, x, visible):
        x = self.norm_1(x + self.look(x, x, visible))
        return self.norm_2(x + self.think(x))


class DecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.look, self.cross, self.think = Attention(), Attention(), FeedForward()
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(D) for _ in range(3))

    def forward(self, x, causal, memory, visible):
        x = self.norm_1(x + self.look(x, x, causal))
        x = self.norm_2(x + self.cross(x, memory, visible))
        return self.norm_3(x + self.think(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(CHARACTERS), D)
        self.encoder = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.decoder = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        for name, parameter in self.named_parameters():
            if name == "embedding.weight":
                nn.init.normal_(parameter, std=D**-0.5)
            elif parameter.ndim == 2 and "norm" not in name:
                nn.init.xavier_uniform_(parameter)

    def embed(self, ids):
        positions = torch.from_numpy(sinusoids(ids.shape[1])).to(self.embedding.weight.dtype)
        return D**0.5 * self.embedding(ids) + positions

    def forward(self, source, target):
        visible = (source != NUMBER[PAD])[:, None, None, :]
        causal = torch.from_numpy(causal_mask(target.shape[1]))
        memory = self.embed(source)
        for layer in self.encoder:
            memory = layer(memory, visible)
        x = self.embed(target)
        for layer in self.decoder:
            x = layer(x, causal, memory, visible)
        return x @ self.embedding.weight.T


model = Transformer()
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# %% [markdown]
# ## The same function
#
# Both get the same weights and the same texts, in float64. Fresh weights would hide faults (all
# biases of a `LayerNorm` are 0), so every parameter is moved a little first.


# %%
def weights_of(model):
    """A model's weights in float64, as the NumPy version asks for them."""
    arrays = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    return arrays.__getitem__


def scores_of(model, source, target):
    """A model's scores in NumPy, in the model's own precision."""
    with torch.no_grad():
        return model(torch.from_numpy(source), torch.from_numpy(target)).numpy()


def moved(model):
    """A copy in float64 whose parameters were all moved."""
    copy = Transformer().double()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return copy


some = [pair(day) for day in test_days[:8]]
source = numbers([s for s, _ in some], SOURCE_LENGTH)
target = numbers([BEGIN + t + END for _, t in some], TARGET_LENGTH)
shaken = moved(model)
ours, theirs = transformer(source, target, weights_of(shaken)), scores_of(shaken, source, target)
print(f"NumPy and PyTorch differ by {np.abs(ours - theirs).max():.1e}, scores up to", end=" ")
print(f"{np.abs(theirs).max():.0f}")
np.testing.assert_allclose(ours, theirs, atol=1e-12 * np.abs(theirs).max())

# %% [markdown]
# Two versions by one hand may share one mistake. PyTorch has these layers ready-made, by other
# hands: `nn.TransformerEncoderLayer` and `nn.TransformerDecoderLayer`. They get our weights.


# %%
def given_weights(ready_made, ours):
    """Put the weights of one of our layers into one of PyTorch's."""

    def attention(theirs, mine):
        three = (mine.query, mine.key, mine.value)
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in three]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in three]))
        theirs.out_proj.load_state_dict(mine.out.state_dict())

    with torch.no_grad():
        attention(ready_made.self_attn, ours.look)
        if hasattr(ours, "cross"):
            attention(ready_made.multihead_attn, ours.cross)
    ready_made.linear1.load_state_dict(ours.think.wide.state_dict())
    ready_made.linear2.load_state_dict(ours.think.narrow.state_dict())
    for number in range(1, 4 if hasattr(ours, "cross") else 3):
        norm = getattr(ours, f"norm_{number}")
        getattr(ready_made, f"norm{number}").load_state_dict(norm.state_dict())
    return ready_made


how = {"dropout": 0.0, "batch_first": True, "dtype": torch.float64}
hidden = torch.from_numpy(source == NUMBER[PAD])  # PyTorch's masks say what is *not* seen
ahead = ~torch.from_numpy(causal_mask(TARGET_LENGTH))
with torch.no_grad():
    memory, x = shaken.embed(torch.from_numpy(source)), shaken.embed(torch.from_numpy(target))
    for layer in shaken.encoder:
        ready_made = given_weights(nn.TransformerEncoderLayer(D, HEADS, INNER, **how), layer)
        memory = ready_made(memory, src_key_padding_mask=hidden)
    for layer in shaken.decoder:
        ready_made = given_weights(nn.TransformerDecoderLayer(D, HEADS, INNER, **how), layer)
        x = ready_made(x, memory, tgt_mask=ahead, memory_key_padding_mask=hidden)
    ready_made_scores = (x @ shaken.embedding.weight.T).numpy()
print(f"NumPy and PyTorch's own layers: {np.abs(ours - ready_made_scores).max():.1e}")
np.testing.assert_allclose(ours, ready_made_scores, atol=1e-12 * np.abs(ours).max())

# %% [markdown]
# Do the masks work? A mask is best checked by changing what it hides: nothing may move, not by one
# bit more than rounding. Longer filling must change nothing, and a changed target token must change
# nothing before it.

# %%
w = weights_of(shaken)
more_filling = np.pad(source, ((0, 0), (0, 7)), constant_values=NUMBER[PAD])
np.testing.assert_allclose(transformer(more_filling, target, w), ours, atol=1e-11)

changed = target.copy()
changed[:, 6] = NUMBER["x"]
after_change = transformer(source, changed, w)
np.testing.assert_allclose(after_change[:, :6], ours[:, :6], atol=1e-11)
assert np.abs(after_change[:, 6:] - ours[:, 6:]).max() > 0.1

# %% [markdown]
# ## Training
#
# The decoder is given the right answer, shifted by one: `<1987-03-05` goes in, `1987-03-05>` is
# asked for. Thanks to the causal mask all eleven predictions are made at once, each from what
# stands before it only. This is called teacher forcing. The loss is the mean of
# $-\log p(\text{right token})$.
#
# The learning rate rises over 100 steps and falls again. Post-norm needs that ([chapter
# 8](ch08_layer_norm_residuals.py)).

# %%
STEPS, WARM_UP, ROWS = 320, 100, 64


def batch(days):
    pairs = [pair(day) for day in days]
    sources = numbers([s for s, _ in pairs], SOURCE_LENGTH)
    targets = numbers([BEGIN + t + END for _, t in pairs], TARGET_LENGTH)
    return torch.from_numpy(sources), torch.from_numpy(targets)


optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9)
losses = []
for step in range(STEPS):
    up, down = (step + 1) / WARM_UP, (STEPS - step) / (STEPS - WARM_UP)
    optimizer.param_groups[0]["lr"] = 3e-3 * min(up, down)
    sources, targets = batch(draw.sample(training_days, ROWS))
    scores = model(sources, targets[:, :-1])
    loss = F.cross_entropy(scores.flatten(0, 1), targets[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} -> {np.mean(losses[-20:]):.4f}")

# %%
drawn, axes = figure(size=(6.0, 2.4))
axes.semilogy(losses)
axes.set_xlabel("step")
axes.set_ylabel("loss, nats per character")
show(drawn, "The loss over the training steps on a logarithmic scale")

# %% [markdown]
# ## Using it
#
# Now there is no teacher. The decoder begins with `<`, and its best next token is appended, eleven
# times at most. The NumPy version does it, with the trained weights, in float64: the encoder runs
# once, the decoder at each step.


# %%
def greedy(sources, w):
    """Source ids [B, S] -> the texts that the model writes."""
    memory, visible = encode(sources, w), padding_mask(sources)
    written = np.full((len(sources), 1), NUMBER[BEGIN])
    for _ in range(TARGET_LENGTH - 1):
        following = decode(written, memory, visible, w)[:, -1].argmax(-1)
        written = np.concatenate([written, following[:, None]], axis=1)
    texts = ["".join(CHARACTERS[number] for number in row[1:]) for row in written]
    return [text.split(END)[0] for text in texts]


w = weights_of(model)
questions = [pair(day) for day in test_days[:300]]
answers = greedy(numbers([s for s, _ in questions], SOURCE_LENGTH), w)
right = np.mean([a == t for a, (_, t) in zip(answers, questions, strict=True)])
for (asked, _), answer in list(zip(questions, answers, strict=True))[:5]:
    print(f"{asked:20} -> {answer}")
print(f"{right:.1%} of 300 dates that it was not trained on are right in all ten characters")
assert right > 0.8

# %% [markdown]
# The model learned in ten seconds, which is little. Where it is wrong, it is mostly in the order of
# the year's digits. With 2,000 steps instead of 320, a minute on one core, all 300 were right.
#
# ## What the cross-attention looks at
#
# For each character that is written (rows), how much weight do the characters of the source have
# (columns)? Row `-` shows where the decoder looks having read `-`, that is, when it is about to
# write what comes after it.


# %%
def looked_at(asked, answer):
    """Cross-attention of the last layer, each head: [H, T, S]."""
    scores_of(model, numbers([asked], SOURCE_LENGTH), numbers([BEGIN + answer], 11))
    return model.decoder[-1].cross.weights[0].detach().numpy()


asked, answer = "30 september 1987", "1987-09-30"
heads = looked_at(asked, answer)[:, :, : len(asked)]
drawn, axes = figure(columns=2, size=(7.5, 3.0))
for one, number in zip(axes, (0, 1), strict=True):
    heatmap(
        one, heads[number], rows=list(BEGIN + answer), columns=list(asked), vmin=0, vmax=1,
        title=f"last layer, head {number + 1}",
    )  # fmt: skip
    one.tick_params(axis="x", rotation=0)
show(drawn, "Cross-attention of two heads: characters written against characters of the source")

# %%
other = looked_at("september 30, 1987", answer).mean(0)
drawn, axes = figure(size=(5.5, 3.0))
heatmap(
    axes, other, rows=list(BEGIN + answer), columns=list("september 30, 1987"),
    title="another form of the same date, mean of four heads",
)  # fmt: skip
axes.tick_params(axis="x", rotation=0)
show(drawn, "Mean cross-attention for the same date in another form: it looks elsewhere")

# %% [markdown]
# The maps can be read. While it writes the year, the decoder looks at the digits of the year,
# wherever they stand. For the month it looks at a few letters that tell months apart, and for the
# day at the day's digits. Nobody told it which characters belong together; the loss did. How
# much of the weight lies where one would look?

# %%
mean = looked_at(asked, answer).mean(0)
year, month, day = mean[:4, 13:17].sum(), mean[5:7, 3:12].sum(), mean[8:10, :2].sum()
print(f"weight on the year while writing it {year / 4:.2f}, on the month {month / 2:.2f},", end=" ")
print(f"on the day {day / 2:.2f}")
assert min(year / 4, month / 2, day / 2) > 0.4

# %% [markdown]
# ## Where it fails
#
# It was trained on the years 1900 to 2099. Does it know what a year is?

# %%
old_days = [day.replace(year=day.year - 300, day=min(day.day, 28)) for day in test_days[:100]]
old = [pair(day) for day in old_days]
found = greedy(numbers([s for s, _ in old], SOURCE_LENGTH), w)
old_right = np.mean([a == t for a, (_, t) in zip(found, old, strict=True)])
for (asked_old, expected), answer_old in list(zip(old, found, strict=True))[:3]:
    print(f"{asked_old:20} -> {answer_old}  (right: {expected})")
print(f"{old_right:.0%} right of years 1600 to 1799")
assert old_right < right / 2

# %% [markdown]
# No. It has never seen a year that begins with 16 or 17, and writes 19 or 20 all the same. It
# learned what was needed for the dates it saw; copying in general was not.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Targets of different lengths are filled up as well, so that the decoder needs one
# mask for both: a key may be seen if it is neither ahead nor filling. Write it: ids `[B, T]` to
# bool `[B, 1, T, T]`, rows are queries. Filling stands at the end.


# %% tags=["exercise"]
def decoder_mask(target): ...  # your turn


# %% tags=["check"]
@check(decoder_mask)
def hides_both(answer):
    """Neither what is ahead nor filling is seen."""
    ids = numbers(["<ab>", "<a>"], 5)
    found = np.asarray(answer(ids))
    assert found.shape == (2, 1, 5, 5), "one mask for each row, the same for all heads"
    assert found.dtype == bool, "True where a key may be seen"
    assert found[0, 0, 2].tolist() == [True] * 3 + [False] * 2, "nothing ahead of the query"
    assert found[1, 0, 4].tolist() == [True] * 3 + [False] * 2, "no filling, even for a late query"
    assert found.any(-1).all(), "each query sees something, or its softmax is NaN"


# %% tags=["solution", "hide-input"]
def solution_1(target):
    return causal_mask(target.shape[1]) & padding_mask(target)


hides_both(solution_1)

# %% [markdown]
# **Exercise 2.** The paper trained with label smoothing: the right token should have the
# probability $1 - \alpha$, and $\alpha$ is spread evenly over all $V$ tokens, the right one
# included. Write this loss (mean over tokens) for `scores` `[N, V]` and the right tokens `[N]`.


# %% tags=["exercise"]
def smoothed_loss(scores, right, alpha): ...  # your turn


# %% tags=["check"]
@check(smoothed_loss)
def smoothing_is_pytorchs(answer):
    """As F.cross_entropy has it, without smoothing and with it."""
    rng = np.random.default_rng(0)
    scores, right = 3 * rng.normal(size=(50, 12)), rng.integers(0, 12, 50)
    for alpha in (0.0, 0.1):
        theirs = F.cross_entropy(
            torch.from_numpy(scores), torch.from_numpy(right), label_smoothing=alpha
        ).item()
        found = float(answer(scores, right, alpha))
        assert abs(found - theirs) < 1e-12, f"alpha {alpha}: {found:.4f}, PyTorch has {theirs:.4f}"


# %% tags=["solution", "hide-input"]
def solution_2(scores, right, alpha):
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    of_right = log_p[np.arange(len(right)), right]
    return -((1 - alpha) * of_right + alpha * log_p.mean(-1)).mean()


smoothing_is_pytorchs(solution_2)

# %% [markdown]
# **Exercise 3.** What is a GPT? A decoder without cross-attention and without an encoder. Write
# that pass with the decoder layers above: embed, then in each layer `look`, `norm_1`, `think`,
# `norm_3` (leave `cross` and `norm_2` out), then the scores.


# %% tags=["exercise"]
def decoder_only(target, w): ...  # your turn: [B, T] -> [B, T, V]


# %% tags=["check"]
@check(decoder_only)
def source_is_gone(answer):
    """Compared with the PyTorch modules, called by hand."""
    with torch.no_grad():
        x = shaken.embed(torch.from_numpy(target))
        for layer in shaken.decoder:
            x = layer.norm_1(x + layer.look(x, x, torch.from_numpy(causal_mask(TARGET_LENGTH))))
            x = layer.norm_3(x + layer.think(x))
        expected = (x @ shaken.embedding.weight.T).numpy()
    found = answer(target, weights_of(shaken))
    assert np.shape(found) == expected.shape, "scores of each next token: [B, T, V]"
    worst = np.abs(found - expected).max()
    assert worst < 1e-11 * np.abs(expected).max(), f"off by {worst:.1e}; is the mask causal?"


# %% tags=["solution", "hide-input"]
def solution_3(target, w):
    x, causal = embed(target, w), causal_mask(target.shape[1])
    for layer in range(LAYERS):
        here = inside(w, f"decoder.{layer}")
        x = layer_norm(x + attention(x, x, causal, inside(here, "look")), inside(here, "norm_1"))
        x = layer_norm(x + feed_forward(x, inside(here, "think")), inside(here, "norm_3"))
    return x @ w("embedding.weight").T


source_is_gone(solution_3)

# %% [markdown]
# ## What to take along
#
# - An encoder reads everything at once; a decoder writes from left to right, and asks the encoder's
#   result by cross-attention. The three attentions are one function with other inputs and masks.
# - A mask is checked by changing what it hides.
# - In training all positions are predicted at once, from the right answer shifted by one; in use,
#   one after the other.
# - Two versions, written apart, on the same weights, in float64: they agree to $10^{-12}$, or one
#   of them is wrong. The rest of this book does that with GPT-2.
