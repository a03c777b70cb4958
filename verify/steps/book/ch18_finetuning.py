# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 18. Fine-tuning, honestly
#
# `tiny` has read one book. How does it learn another text, and what has MAX to do with it? After
# this chapter you will know
#
# - why PyTorch trains and MAX does not, and what MAX is good for all the same;
# - what LoRA is: a thin correction beside each weight, its parameters counted, merged again to an
#   ordinary GPT-2, equal in float64 to 12 digits, and equal to peft's;
# - what training on another text gains, and what it forgets;
# - why every checkpoint of a training run should be verified, and not the first one alone.
#
# **MAX 26.7 computes no gradients.** It compiles and runs models, it does not train them. Whoever
# says "fine-tune in MAX" means: train elsewhere, load the weights into MAX. That is what we do. The
# weights change and the graph does not, so the program that was compiled once runs every
# checkpoint.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

from dataclasses import replace

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional

from impl.tokenizer import Tokenizer
from reference.huggingface import HuggingFaceReference, load_model
from reference.load import TINY_FOLDER, load
from reference.oracle import Oracle
from verify.judge.acceptance import Envelope, judge
from verify.judge.metrics import rms
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLACK, BLUE, ORANGE, RED, figure, show
from verify.truth.float32 import Blocked, Pairwise, Reversed, Sequential

torch.manual_seed(18)
checkpoint = load("tiny")
config = checkpoint.config
tokenizer = Tokenizer.load(TINY_FOLDER)

# %% [markdown]
# ## LoRA on one layer
#
# A linear layer computes $y = x W + b$ with $W$ of shape `[in, out]`. Full fine-tuning changes all
# of $W$: $W' = W + \Delta$. *Low-rank adaptation* (Hu et al. 2021) keeps $W$ as it is and allows
# $\Delta$ a rank of at most $r$:
#
# $$
# y = x W + b + \frac{\alpha}{r}\,(x A)\, B
# $$
#
# with $A$ of shape `[in, r]` and $B$ of shape `[r, out]`.
#
# $A$ begins at random and $B$ at 0, so that training begins at the model as it was. Only $A$ and
# $B$ have gradients: `r (in + out)` numbers instead of `in * out`.


# %%
class LoRA(torch.nn.Module):
    """A frozen linear layer of a GPT-2 (Conv1D, weight [in, out]) and its correction."""

    def __init__(self, layer, rank, alpha):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        size_in, size_out = layer.weight.shape
        self.A = torch.nn.Parameter(
            torch.randn(size_in, rank, dtype=layer.weight.dtype) / size_in**0.5
        )
        self.B = torch.nn.Parameter(torch.zeros(rank, size_out, dtype=layer.weight.dtype))
        self.scale = alpha / rank

    def forward(self, x):
        return self.layer(x) + self.scale * (x @ self.A) @ self.B

    def merged(self):
        """The weight of the ordinary layer that this one comes to: [in, out]."""
        return self.layer.weight + self.scale * self.A @ self.B


layer = load_model(checkpoint, torch.float64).transformer.h[0].mlp.c_fc
adapted = LoRA(layer, rank=8, alpha=16)
with torch.no_grad():
    x = torch.randn(5, 128, dtype=torch.float64)
    assert torch.equal(adapted(x), layer(x))  # B is 0: nothing has changed yet
    adapted.B.normal_()
    off = (adapted(x) - (x @ adapted.merged() + layer.bias)).abs().max().item()
    ordinary, thin = layer.weight.numel(), adapted.A.numel() + adapted.B.numel()
print(f"c_fc: {ordinary:,} weights, {thin:,} in A and B; merged and unmerged differ by {off:.1e}")
assert off < 1e-12

# %% [markdown]
# What does a rank allow? A layer shall learn to be another one, whose weights differ from its own
# by a matrix of rank 4. We train $A$ and $B$ for several $r$, and all of $\Delta$, with the same
# optimiser.

# %%
size_in, size_out = 32, 48
wanted = torch.randn(size_in, 4) @ torch.randn(4, size_out) / 8  # rank 4
inputs = torch.randn(256, size_in)


def learn(parameters, delta, steps=250):
    """Losses while `delta()` is trained towards the wanted change."""
    optimiser, losses = torch.optim.Adam(parameters, lr=0.02), []
    for _ in range(steps):
        loss = ((inputs @ (delta() - wanted)) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


curves = {}
for rank in (1, 2, 4, 8):
    A = torch.nn.Parameter(torch.randn(size_in, rank) / size_in**0.5)
    B = torch.nn.Parameter(torch.zeros(rank, size_out))
    curves[f"rank {rank}: {A.numel() + B.numel()}"] = learn([A, B], lambda A=A, B=B: A @ B)
D = torch.nn.Parameter(torch.zeros(size_in, size_out))
curves[f"full: {D.numel()}"] = learn([D], lambda: D)

drawn, axes = figure(size=(6.0, 2.8))
for name, losses in curves.items():
    axes.semilogy(losses, label=name + " parameters")
axes.set(xlabel="step", ylabel="mean squared error", ylim=(1e-6, None))
axes.set_title("Learning a change of rank 4")
axes.legend(fontsize=8)
show(drawn, "Losses over steps: ranks 1 and 2 stay behind, 4 and 8 and the full matrix arrive")
ends = {name.split(":")[0]: losses[-1] for name, losses in curves.items()}
assert ends["rank 2"] > 100 * ends["rank 4"]

# %% [markdown]
# A rank below that of the change cannot get there, one above it loses nothing. How large the rank
# of a real change is, nobody knows beforehand. We shall measure it below.
#
# ## The whole model
#
# Every linear layer of every block gets a correction. Here are ours and peft's, with the same
# numbers in $A$ and $B$, in float64:

# %%
PLACES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


def with_lora(dtype, rank=8, alpha=16):
    """The model with adapters, and these by name; all else is frozen."""
    model = load_model(checkpoint, dtype).requires_grad_(False)
    adapters = {}
    for n, block in enumerate(model.transformer.h):
        for place in PLACES:
            part, name = place.split(".")
            module = getattr(block, part)
            adapters[f"transformer.h.{n}.{place}"] = LoRA(getattr(module, name), rank, alpha)
            setattr(module, name, adapters[f"transformer.h.{n}.{place}"])
    return model, adapters


def merged_weights(adapters):
    """All weights of the ordinary GPT-2 that a model with adapters comes to."""
    weights = {name: np.array(array) for name, array in checkpoint.weights.items()}
    for name, adapter in adapters.items():
        weights[f"{name}.weight"] = adapter.merged().detach().numpy()
    return weights


ours, adapters = with_lora(torch.float64)
theirs = get_peft_model(
    load_model(checkpoint, torch.float64),
    LoraConfig(r=8, lora_alpha=16, target_modules=["c_attn", "c_proj", "c_fc"],
               fan_in_fan_out=True, lora_dropout=0.0),
)  # fmt: skip
peft_layers = dict(theirs.base_model.model.named_modules())
with torch.no_grad():
    for name, adapter in adapters.items():
        adapter.B.normal_(std=0.02)
        peft_layers[f"{name}.lora_A.default"].weight.copy_(adapter.A.T)
        peft_layers[f"{name}.lora_B.default"].weight.copy_(adapter.B.T)
    ids = torch.arange(0, 990, 30)[None]
    logits = ours(ids).logits
    off_peft = (theirs.eval()(ids).logits - logits).abs().max().item()
    whole = Oracle(replace(checkpoint, weights=merged_weights(adapters)))
    off_merged = np.abs(whole.trace(ids.numpy())["lm_head"] - logits.numpy()).max()

trained = sum(p.numel() for p in ours.parameters() if p.requires_grad)
print(f"{trained:,} of {config.parameter_count:,} parameters are trained: "
      f"{trained / config.parameter_count:.0%}")  # fmt: skip
print(f"peft's logits differ by {off_peft:.1e}, the merged model's in NumPy by {off_merged:.1e}")
assert trained == theirs.get_nb_trainable_parameters()[0]
assert off_peft < 1e-12
assert off_merged < 1e-12

# %% [markdown]
# The merged model is an ordinary GPT-2. Whatever runs GPT-2 runs it, at the same speed: our oracle
# just did.
#
# ## Another text
#
# The Bible's English shall learn that of this project's documentation. One block in eight is held
# out. We look at two losses: of the held-out part of the new text, and of the Bible, which neither
# training sees again.

# %%
root = TINY_FOLDER.parents[1]
files = ("README.md", "CONTRIBUTING.md", "verify/README.md", "bench/README.md")
text = "\n".join((root / file).read_text(encoding="utf-8") for file in files)
tokens = torch.tensor(tokenizer.encode(text))
blocks = tokens[: len(tokens) // 512 * 512].reshape(-1, 512)
held_out = torch.arange(len(blocks)) % 8 == 4
training, new_text = blocks[~held_out], blocks[held_out][:12, :128]
bible = torch.tensor(tokenizer.encode((TINY_FOLDER / "heldout.txt").read_text(encoding="utf-8")))
old_text = bible[: 12 * 128].reshape(12, 128)
print(f"{training.numel():,} tokens to train on")


def loss_of(model, batch):
    """Nats a token, each token after the first of its row."""
    logits = model(batch[:, :-1], use_cache=False).logits
    return functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def finetune(model, rate, snapshot, steps=48, every=16):
    """Train; returns (step, loss on the new text, on the old) and what `snapshot` gave, by step."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    points, kept = [], {}
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                points.append(
                    (step, loss_of(model, new_text).item(), loss_of(model, old_text).item())
                )
            kept[step] = snapshot()
        rows = torch.randint(len(training), (4,), generator=generator)
        at = torch.randint(512 - 65, (4, 1), generator=generator)
        batch = training[rows[:, None], at + torch.arange(65)]
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 6)  # a short warm-up
        optimiser.zero_grad()
        loss_of(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
    return points, kept


full = load_model(checkpoint, torch.float32)


def weights_of_full():
    """As a checkpoint has them; the tied head has none of its own."""
    return {name: full.state_dict()[name].numpy().copy() for name in checkpoint.weights}


full_points, full_kept = finetune(full, 5e-4, weights_of_full)
lora, adapters = with_lora(torch.float32)
lora_points, lora_kept = finetune(lora, 4e-3, lambda: merged_weights(adapters))
for name, points in (("full", full_points), ("LoRA", lora_points)):
    for step, new, old in points[:: len(points) - 1]:
        print(f"{name}, step {step:2}: {new:.2f} nats on the new text, {old:.2f} on the Bible")
    assert points[-1][1] < points[0][1] - 0.8

# %%
drawn, axes = figure(size=(6.4, 2.9))
for points, colour, name in ((full_points, BLUE, "full"), (lora_points, ORANGE, "LoRA, rank 8")):
    steps, new, old = zip(*points, strict=True)
    axes.plot(steps, new, "o-", color=colour, label=f"{name}: new text")
    axes.plot(steps, old, "o:", color=colour, label=f"{name}: Bible")
axes.set(xlabel="step", ylabel="held-out loss, nats a token", title="Learning and forgetting")
axes.legend(fontsize=8, ncols=2)
show(drawn, "Held-out losses of the new text fall, those of the Bible rise, full and LoRA")

# %% [markdown]
# Both learn, and both forget: nothing in the new text keeps the old one alive. LoRA is no remedy
# for that by itself. What it saves is memory: Adam keeps two numbers for each *trained* parameter,
# and an adapter is a file of a tenth of the size or, for large models, of a hundredth.
#
# These are 48 steps of 256 tokens. `python -m reference finetune` took 200 steps of 2,048 tokens on
# this text, in one and a half minutes on one core: its held-out part went from 7.76 to 3.23 nats,
# the Bible from 2.55 to 4.02. With `--lora 8` it was 4.25, and 3.78 for the Bible.

# %%
prompt = "And it came to pass, that the"


def continued(weights, count=24):
    """A greedy continuation in words, by the oracle in float32."""
    model = Oracle(replace(checkpoint, weights=weights), np.float32)
    ids = tokenizer.encode(prompt)
    for _ in range(count):
        ids.append(int(model.trace(np.array([ids]))["lm_head"][0, -1].argmax()))
    return tokenizer.decode(ids)


for name, weights in (("before", full_kept[0]), ("full", full_kept[48]), ("LoRA", lora_kept[48])):
    print(f"{name:7}{continued(weights)!r}")

# %% [markdown]
# ## How thin is the change?
#
# Full training was free to make a change of any rank. Its singular values say how much of it a LoRA
# of rank $r$ could have held at best: $\sum_{i \le r} \sigma_i^2 / \sum_i \sigma_i^2$ (Eckart and
# Young).

# %%
drawn, axes = figure(size=(5.5, 2.6))
shares = {}
for place in ("attn.c_attn", "mlp.c_fc", "mlp.c_proj"):
    name = f"transformer.h.2.{place}.weight"
    change = full_kept[48][name] - full_kept[0][name]
    squares = np.linalg.svd(change, compute_uv=False) ** 2
    shares[place] = np.cumsum(squares) / squares.sum()
    axes.plot(np.arange(1, 129), 100 * shares[place], label=f"h.2.{place}")
axes.axvline(8, color=BLACK, linewidth=0.8, linestyle=":")
axes.set(xlabel="rank", ylabel="share of the change, %", ylim=(0, 100))
axes.set_title("What a thin correction can hold of the full change")
axes.legend(fontsize=8)
show(drawn, "Share of the full change that a rank holds, for three layers of block 2")
print("rank 8 holds", ", ".join(f"{100 * s[7]:.0f}% of {p}" for p, s in shares.items()))

# %% [markdown]
# Far from all of it, and still LoRA has most of the gain with a fourteenth of the parameters: the
# change that full training finds is not the only one that helps. (Adam moves every weight by about
# the same amount at first, which spreads the change over many directions.)
#
# ## Parity over training
#
# A port to MAX was verified with the published weights. Now the weights move. Is it still right?
# Two things can go wrong. Activations grow, and with them the errors of float32: the envelope of
# [chapter 15](ch15_is_it_right.py) is measured anew for each checkpoint, so that it moves along.
# And a port can *hold on to old weights*: a tensor that was copied when the model was built and not
# when new weights came. With the old weights that fault is invisible.
#
# We verify each checkpoint, stage by stage: PyTorch in float32 as a right port, and a port whose
# head kept the embedding that it was built with.

# %%
ids = bible[:66].reshape(2, 33).numpy()
ORDERS = (Blocked, Pairwise, Sequential, Reversed)


class StaleHead(Oracle):
    """A port that copied the tied head once: it never sees new weights."""

    def head(self, x, path):
        return self.matmul(x, checkpoint.weights["transformer.wte.weight"].T)


def worst_stage(weights):
    """Error over what is allowed at the worst stage: of PyTorch, and of the port with a fault."""
    point = replace(checkpoint, weights=weights)
    oracle = Oracle(point)
    stages = oracle.output_taps()
    given = {tap: a.astype(np.float32) for tap, a in oracle.trace(ids).items() if tap in stages}
    truth = oracle.trace(ids, given)
    ways = [order(point, np.float32).trace(ids, given) for order in ORDERS]
    exact = HuggingFaceReference(point, torch.float64).trace(ids)["lm_head"]
    assert np.abs(exact - oracle.trace(ids)["lm_head"]).max() < 1e-11  # two models in float64
    worst = []
    for model in (HuggingFaceReference(point), StaleHead(point, np.float32)):
        found, used = model.trace(ids, given), []
        for tap in stages:
            errors = [(way[tap] - truth[tap])[np.isfinite(way[tap])] for way in ways]
            allowed = Envelope(max(map(rms, errors)), max(np.abs(e).max() for e in errors))
            used.append(judge(found[tap], truth[tap], allowed, np.float32).used)
        worst.append(max(used))
    return worst


parity = {}
for name, kept in (("full", full_kept), ("LoRA, merged", lora_kept)):
    parity[name] = {step: worst_stage(weights) for step, weights in kept.items()}
    for step, (right, stale) in parity[name].items():
        print(
            f"{name:12} step {step:2}: PyTorch {right:.2f} of the allowed, stale head {stale:.3g}"
        )
        assert right < 1
        assert (stale > 1) == (name == "full" and step > 0)

# %%
drawn, axes = figure(size=(6.4, 2.9))
for name, colour in (("full", BLUE), ("LoRA, merged", ORANGE)):
    right = [pair[0] for pair in parity[name].values()]
    axes.semilogy(list(parity[name]), right, "o-", color=colour, label=f"PyTorch, {name}")
stale = [pair[1] for pair in parity["full"].values()]
axes.semilogy(list(parity["full"]), stale, "s-", color=RED, label="a port with a stale head, full")
axes.axhline(1, color=BLACK, linewidth=1)
axes.set(xlabel="step", ylabel="error over what is allowed", title="Parity over training")
axes.legend(fontsize=8)
show(
    drawn, "Parity by step: right ports stay below 1, the port with a stale head leaves it at once"
)

# %% [markdown]
# The right port stays where it was. The faulty one is right at step 0, and wrong beyond any doubt
# at the first checkpoint after it. With LoRA it is right throughout: our adapters leave the
# embedding alone, so that a head that is out of date cannot show. A test can only find what its
# inputs move.
#
# ## In this project
#
# ```sh
# python -m reference finetune --text notes.txt              # tiny, all parameters, in PyTorch
# python -m reference finetune --text notes.txt --lora 8     # adapters by peft
# python -m verify training finetuned                        # every checkpoint, again in MAX
# python -m impl generate --model finetuned "And it came"    # the result, by the MAX engine
# ```
#
# The first two keep checkpoints with sample texts, continue after an interruption, and verify at
# their end what the third verifies again: the weights of each checkpoint are bound to the same
# compiled program, parameters are compared bit for bit and every stage with its envelope, and the
# page has the parity curve.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Count what is trained. `shapes` is a list of `(in, out)`, one for each layer that
# has an adapter of this rank.


# %% tags=["exercise"]
def lora_parameters(shapes, rank): ...  # your turn


# %% tags=["check"]
@check(lora_parameters)
def counts_a_and_b(answer):
    """One layer, and all of tiny's."""
    assert answer([(128, 512)], 8) != 8 * 128 * 512, "the weight itself is frozen"
    assert answer([(128, 512)], 8) == 8 * (128 + 512), "A is [in, r], B is [r, out]"
    block = [(128, 384), (128, 128), (128, 512), (512, 128)]
    assert answer(block * 6, 8) == trained, f"tiny with rank 8 has {trained:,}"


# %% tags=["solution", "hide-input"]
def lora_parameters_solution(shapes, rank):
    return sum(rank * (size_in + size_out) for size_in, size_out in shapes)


counts_a_and_b(lora_parameters_solution)

# %% [markdown]
# **Exercise 2.** Merge an adapter of *peft* into the weight of a `torch.nn.Linear`, in NumPy. peft
# holds `lora_A` as `[r, in]` and `lora_B` as `[out, r]`, a Linear holds its weight as `[out, in]`.
# Return the new weight.


# %% tags=["exercise"]
def merge(weight, lora_A, lora_B, alpha): ...  # your turn


# %% tags=["check"]
@check(merge)
def is_the_same_function(answer):
    """Merged and unmerged on some rows; the weight itself must not change."""
    draw = np.random.default_rng(1)
    weight, A, B = (draw.normal(size=s) for s in ((6, 10), (3, 10), (6, 3)))
    x, before = draw.normal(size=(7, 10)), weight.copy()
    found = answer(weight, A, B, 12)
    assert np.array_equal(weight, before), "the frozen weight was changed in place"
    assert np.shape(found) == (6, 10), f"the shape is [out, in] = (6, 10), not {np.shape(found)}"
    off = np.abs(x @ found.T - (x @ weight.T + (12 / 3) * (x @ A.T) @ B.T)).max()
    assert off < 1e-12, f"off by {off:.2g}: the scale is alpha / r"


# %% tags=["solution", "hide-input"]
def merge_solution(weight, lora_A, lora_B, alpha):
    return weight + alpha / len(lora_A) * lora_B @ lora_A


is_the_same_function(merge_solution)

# %% [markdown]
# **Exercise 3.** MAX has no autograd, but a chain rule is no secret. For $y = x W + s\,(x A) B$ and
# the gradient $G = \partial L / \partial y$ (`[n, out]`), return the gradients of the loss by $A$
# and by $B$. Why is the first one 0 at the beginning of a training?


# %% tags=["exercise"]
def lora_gradients(x, A, B, scale, G): ...  # your turn


# %% tags=["check"]
@check(lora_gradients)
def equals_autograd(answer):
    """PyTorch's gradients in float64."""
    x, A, B, W = (torch.randn(*s, dtype=torch.float64) for s in ((9, 5), (5, 2), (2, 7), (5, 7)))
    A.requires_grad_()
    B.requires_grad_()
    y = x @ W + 0.5 * (x @ A) @ B
    y.retain_grad()
    (y**3).sum().backward()
    arrays = (x.numpy(), A.detach().numpy(), B.detach().numpy(), 0.5, y.grad.numpy())
    found = answer(*arrays)
    for name, ours, theirs in zip("AB", found, (A.grad, B.grad), strict=True):
        assert np.shape(ours) == tuple(theirs.shape), f"d{name} has the shape of {name}"
        off = np.abs(ours - theirs.numpy()).max() / theirs.abs().max().item()
        assert off < 1e-12, f"d{name} is off by {off:.2g} of itself"


# %% tags=["solution", "hide-input"]
def lora_gradients_solution(x, A, B, scale, G):
    return scale * x.T @ (G @ B.T), scale * (x @ A).T @ G  # the first is 0 where B is


equals_autograd(lora_gradients_solution)

# %% [markdown]
# ## What to take along
#
# - MAX runs and PyTorch trains. New weights need no new program.
# - LoRA trains a correction of low rank. Merged it is the same function and an ordinary model; say
#   so only after you have compared both in float64.
# - Training on one text forgets another. Measure both losses.
# - Verify every checkpoint. Some faults cannot show before the weights have moved.
#
# Source: E. Hu et al., "LoRA: low-rank adaptation of large language models" (2021).
