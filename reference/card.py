"""What a training run says about itself: loss.csv, loss.png and the model card."""

from __future__ import annotations

import csv
import hashlib
import platform
from dataclasses import astuple, dataclass, fields
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData
from transformers import AutoTokenizer, GenerationConfig, GPT2LMHeadModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")
PROMPT = "And it came to pass"
SAMPLE_TOKENS = 80

CARD = """---
{header}
---
# A tiny GPT-2 that has read the King James Bible

{parameters:,} parameters, every one of them trained: what a check of a GPT-2 implementation needs,
and random weights do not give. It loads with `GPT2LMHeadModel.from_pretrained` and
`AutoTokenizer.from_pretrained`.

## Data and licence

The text is that of `{source}` (plain text, reader's layout), without verse numbers and
brackets. The package's metadata state `License-Expression: {licence}`. The King James Version
itself is in the public domain outside the United Kingdom, where letters patent of the Crown cover
its printing.

One block of four paragraphs in twenty is held out: {training_tokens:,} tokens to train on,
{validation_tokens:,} to validate. `heldout.txt` is a part of the held-out text. The tokenizer
(byte-level BPE, {config.vocab_size:,} tokens) was trained on the training split only.

## Results

| | |
|---|---|
| layers, width, heads | {config.n_layer}, {config.n_embd}, {config.n_head} |
| steps | {steps:,} |
| tokens seen | {tokens_seen:,} |
| train loss, nats per token (last {train_loss_steps} steps) | {train_loss:.4f} |
| validation loss, nats per token | {validation_loss:.4f} |
| validation perplexity per token | {validation_perplexity:.3f} |
| validation bits per byte | {validation_bits:.4f} |
| heldout.txt perplexity per token | {heldout_perplexity:.3f} |
| heldout.txt bits per byte | {heldout_bits:.4f} |
| wall time | {wall_min:.1f} minutes |
| sha256 of model.safetensors | `{model_sha256}` |
| sha256 of tokenizer.json | `{tokenizer_sha256}` |

Losses are means over windows of {config.n_positions} tokens that do not overlap and start without
context. Each text begins with `<|endoftext|>`, and every token after the first is predicted once.
Bits per byte divides by the text's bytes in UTF-8. In `loss.csv` and `loss.png` the validation loss
is over the first {evaluation_tokens:,} validation tokens, which are easier than the whole.

## How it was made

```
{command}
```

{versions}; {threads} CPU thread(s), fp32.

AdamW with betas {betas}, weight decay {weight_decay} on matrices only, peak learning rate
{settings.learning_rate}, linear warm-up over {warm_up:.0%} of the run, then a cosine to 0,
gradients clipped to norm {max_gradient_norm}, no dropout, seed {settings.seed}. A step takes
{settings.batch_size} random windows of {config.n_positions} tokens. The weights are those after
the last step. {repeats}

## Samples

Greedy:

{greedy}

At temperature 0.8, among the 40 likeliest tokens:

{sampled}

## Limits

It knows one book, in the English of 1611, and is too small to mean what it says. It is test data:
do not quote it, and do not learn about the Bible from it. The key third of each `c_attn.bias`
cannot change the output (softmax cancels it), so those values carry no information.
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A row of loss.csv: mean loss since the last row, and validation loss, in nats per token."""

    step: int
    train_loss: float
    validation_loss: float


def write_losses(points: Sequence[Point], folder: Path) -> None:
    """Write loss.csv and loss.png."""
    with (folder / "loss.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Point))
        writer.writerows(
            (p.step, f"{p.train_loss:.5f}", f"{p.validation_loss:.5f}") for p in points
        )
    plot(points, folder / "loss.png")


def plot(points: Sequence[Point], path: Path) -> None:
    """Draw the training and the validation loss over the steps."""
    figure = import_module("matplotlib.figure").Figure(figsize=(6.0, 3.5), layout="constrained")
    axes = figure.subplots()
    steps, training, validation = zip(*map(astuple, points), strict=True)
    axes.plot(steps, training, label="training")
    axes.plot(steps, validation, label="validation")
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def sample(folder: Path, **choice: Any) -> str:
    """Continue the prompt with the model of a folder, and return both as a Markdown quotation.

    Args:
        folder: a checkpoint that transformers can load.
        choice: fields of `GenerationConfig` that say how the next token is chosen.
    """
    model, tokenizer = (kind.from_pretrained(folder) for kind in (GPT2LMHeadModel, AutoTokenizer))
    config = GenerationConfig(
        max_new_tokens=SAMPLE_TOKENS, pad_token_id=0, eos_token_id=0, **choice
    )
    encoded = tokenizer(PROMPT, return_tensors="pt")
    mask = encoded.attention_mask
    output = model.generate(encoded.input_ids, attention_mask=mask, generation_config=config)
    text = tokenizer.decode(output[0], skip_special_tokens=True)
    return "\n>\n".join(f"> {paragraph}" for paragraph in text.splitlines())


def versions() -> str:
    """Name the interpreter and the packages that decide the result, with their versions."""
    named = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *named])


def sha256(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_card(facts: Mapping[str, Any], folder: Path) -> None:
    """Write README.md: the template above, filled with the run's facts and the files' hashes.

    Raises:
        KeyError: The template names a fact that is missing.
    """
    perplexity = EvalResult(
        task_type="text-generation",
        dataset_type="text",
        dataset_name="heldout.txt",
        metric_type="perplexity",
        metric_name="perplexity per token",
        metric_value=round(facts["heldout_perplexity"], 4),
    )
    header = ModelCardData(
        language="en",
        license="mit",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["gpt2", "test-data"],
        model_name="tiny",
        eval_results=[perplexity],
    )
    text = CARD.format(
        header=header.to_yaml(),
        versions=versions(),
        model_sha256=sha256(folder / "model.safetensors"),
        tokenizer_sha256=sha256(folder / "tokenizer.json"),
        greedy=sample(folder, do_sample=False),
        sampled=sample(folder, do_sample=True, temperature=0.8, top_k=40),
        **facts,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
