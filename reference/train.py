"""Train the tiny GPT-2 of `reference/tiny`: learned weights, small enough to be committed.

Random weights hide faults: with zero biases and unit LayerNorms, a lost bias or a swapped scale
changes nothing. This program makes a checkpoint in which every parameter was trained, on one text:

    loss = -mean(log p(token[t] | token[0..t-1]))           nats per token
    perplexity = exp(loss)
    bits per byte = loss / ln 2 * predicted tokens / bytes of text

With `--steps` alone, the same machine, package versions, seed and thread count give the same
weights and tokenizer, byte for byte. With `--minutes` the schedule follows the clock, and two runs
differ.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from reference import card, corpus
from reference.card import Point
from reference.corpus import CannotRunError, Corpus
from reference.staging import check_folder, staged
from reports.commands import CANNOT_RUN, INTERRUPTED, Parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokenizers import Tokenizer

EVALUATIONS = 24
"""Rows of loss.csv."""

EVALUATION_TOKENS = 16_384
"""Of the validation split, from its beginning, for loss.csv."""

WEIGHT_DECAY, BETAS, MAX_GRADIENT_NORM = 0.1, (0.9, 0.99), 1.0
"""AdamW's settings, and the norm that gradients are clipped to, as nanoGPT has for a small text."""

WARM_UP = 0.02
"""Share of the run in which the learning rate rises."""

REPEATS = (
    "The same command on the same machine with these versions gives the same weights, to the bit."
)
FOLLOWED_THE_CLOCK = "The schedule followed the clock, so that a second run differs."
"""What the card says of a second run, after a number of steps and after a time."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train: for `steps`, or for `minutes` of wall time if they are over first."""

    steps: int = 4000
    minutes: float = math.inf
    batch_size: int = 8
    learning_rate: float = 2e-3
    seed: int = 0


def tiny_config() -> GPT2Config:
    """The shipped shape: 1.35 million parameters, 5.4 MB in fp32; no dropout."""
    return GPT2Config(
        vocab_size=1024,
        n_positions=256,
        n_embd=128,
        n_layer=6,
        n_head=4,
        activation_function="gelu_new",
        layer_norm_epsilon=1e-5,
        tie_word_embeddings=True,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def next_token_loss(model: Any, windows: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """The loss of predicting the windows' tokens 1 to length, in nats per token or in all.

    Args:
        model: a GPT2LMHeadModel.
        windows: token ids, int64 `[batch, length + 1]`.
        reduction: "mean" or "sum" over the batch and the positions.
    """
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits  # [batch, length, vocab]
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction=reduction)


@torch.no_grad()
def mean_loss(model: Any, tokens: torch.Tensor) -> float:
    """The loss over a row of tokens, int64 `[tokens]`, in nats per token.

    Windows of `n_positions` tokens do not overlap and start without context; every token but the
    first is predicted once.
    """
    length, total = model.config.n_positions, 0.0
    for start in range(0, len(tokens) - 1, length):
        total += next_token_loss(model, tokens[None, start : start + length + 1], "sum").item()
    return total / (len(tokens) - 1)


def learning_rate_share(done: float) -> float:
    """The share of the peak rate when a share `done` of the run is over.

    A linear warm-up over the first 2%, then half a cosine down to 0.
    """
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP)))


def make_optimizer(model: torch.nn.Module) -> torch.optim.AdamW:
    """AdamW that decays matrices and embeddings, and leaves biases and LayerNorms alone."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=BETAS)


def random_windows(tokens: torch.Tensor, length: int, settings: Settings) -> Iterator[torch.Tensor]:
    """Batches of windows that start anywhere in the tokens: int64 `[batch, length + 1]`."""
    generator = torch.Generator().manual_seed(settings.seed)
    while True:
        starts = torch.randint(len(tokens) - length, (settings.batch_size, 1), generator=generator)
        yield tokens[starts + torch.arange(length + 1)]


def schedule(settings: Settings) -> Iterator[tuple[int, float]]:
    """Each step's number, from 1, and the share of the run that is over as it begins."""
    started = time.monotonic()
    for step in range(settings.steps):
        minutes = (time.monotonic() - started) / 60.0
        done = max(step / settings.steps, minutes / settings.minutes)
        if step and done >= 1.0:
            return
        yield step + 1, done


def update(model: Any, optimizer: torch.optim.Optimizer, batch: torch.Tensor, rate: float) -> float:
    """Take one step at a learning rate, and return the batch's loss before it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = next_token_loss(model, batch)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    return loss.item()


def fit(
    model: Any, training: torch.Tensor, validation: torch.Tensor, settings: Settings
) -> list[Point]:
    """Train the model in place, and return the losses on the way and at the end."""
    optimizer = make_optimizer(model)
    batches = random_windows(training, model.config.n_positions, settings)
    points: list[Point] = []
    losses: list[float] = []
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()) as progress:
        task, started = progress.add_task("", total=1.0), time.monotonic()
        for step, done in schedule(settings):
            if done * EVALUATIONS >= len(points) + 1:
                points.append(_point(model, step - 1, losses, validation))
                report = f"validation loss {points[-1].validation_loss:.3f}"
                progress.console.print(f"{progress.tasks[0].description}, {report}")
                losses = []
            rate = settings.learning_rate * learning_rate_share(done)
            batch = next(batches)
            losses.append(update(model, optimizer, batch, rate))
            tokens_per_s = step * batch[:, 1:].numel() / (time.monotonic() - started)
            line = f"step {step}, loss {losses[-1]:.3f}, {tokens_per_s:.0f} tokens/s"
            progress.update(task, completed=done, description=line)
    return [*points, _point(model, step, losses, validation)]


def _point(model: Any, step: int, losses: Sequence[float], validation: torch.Tensor) -> Point:
    part = validation[:EVALUATION_TOKENS]
    return Point(step, sum(losses) / len(losses), mean_loss(model, part))


def train(text: Corpus, config: GPT2Config, settings: Settings, folder: Path, command: str) -> None:
    """Train a tokenizer and a model on a text, and put the checkpoint in a folder's place.

    Args:
        text: at least 41 paragraphs, so that some are held out.
        config: the model's shape; `vocab_size` is the tokenizer's too, and id 0 ends a text.
        settings: how long, and how.
        folder: where the checkpoint goes. It changes only at the end, in one exchange.
        command: what the user typed, for the model card.
    """
    started = time.monotonic()
    training, validation = corpus.split(text.text)
    bpe = corpus.train_tokenizer(training, config.vocab_size)
    training_ids, validation_ids = (corpus.encode(bpe, part) for part in (training, validation))
    torch.manual_seed(settings.seed)
    model = GPT2LMHeadModel(config)
    points = fit(model, training_ids, validation_ids, settings)
    held_out = corpus.held_out_text(validation)
    run = {
        "command": command,
        "licence": text.licence,
        "source": text.source,
        "training_tokens": len(training_ids),
        "validation_tokens": len(validation_ids),
        "wall_min": (time.monotonic() - started) / 60.0,
    }
    loss = mean_loss(model, validation_ids)
    run |= quality("validation", loss, validation_ids, "".join(validation))
    held_out_ids = corpus.encode(bpe, [held_out])
    run |= quality("heldout", mean_loss(model, held_out_ids), held_out_ids, held_out)
    with staged(folder) as partial:
        save(partial, model, bpe, held_out)
        card.write_losses(points, partial)
        card.write_card(run | recipe(model, settings, points), partial)


def save(folder: Path, model: Any, bpe: Tokenizer, held_out: str) -> None:
    """Write the weights, the tokenizer and the held-out text, as transformers reads them."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=corpus.END_OF_TEXT,
        eos_token=corpus.END_OF_TEXT,
        model_max_length=model.config.n_positions,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "heldout.txt").write_text(held_out, encoding="utf-8")


def quality(name: str, loss: float, ids: torch.Tensor, text: str) -> dict[str, float]:
    """A text's loss in nats per token, its perplexity per token and its bits per byte."""
    bits = loss / math.log(2.0) * (len(ids) - 1)
    return {
        f"{name}_loss": loss,
        f"{name}_perplexity": math.exp(loss),
        f"{name}_bits": bits / len(text.encode()),
    }


def recipe(model: Any, settings: Settings, points: Sequence[Point]) -> dict[str, Any]:
    """How the model was trained, for the card."""
    steps = [0, *(point.step for point in points)]
    return {
        "config": model.config,
        "parameters": model.num_parameters(),
        "steps": steps[-1],
        "tokens_seen": steps[-1] * settings.batch_size * model.config.n_positions,
        "train_loss": points[-1].train_loss,
        "train_loss_steps": steps[-1] - steps[-2],
        "settings": settings,
        "repeats": REPEATS if math.isinf(settings.minutes) else FOLLOWED_THE_CLOCK,
        "threads": torch.get_num_threads(),
        "betas": BETAS,
        "weight_decay": WEIGHT_DECAY,
        "warm_up": WARM_UP,
        "max_gradient_norm": MAX_GRADIENT_NORM,
        "evaluation_tokens": EVALUATION_TOKENS,
    }


def main(argv: Sequence[str]) -> int:
    """Run `python -m reference train`.

    Args:
        argv: what follows `train` on the command line.

    Returns:
        0 when the checkpoint was written, 2 where training could not start, 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    settings = Settings(
        **{field.name: getattr(arguments, field.name) for field in fields(Settings)}
    )
    torch.set_num_threads(arguments.threads)
    command = shlex.join(["python", "-m", "reference", "train", *argv])
    try:
        check_folder(arguments.out)
        corpus.require_packages()
        train(corpus.load_corpus(), tiny_config(), settings, arguments.out, command)
    except (CannotRunError, OSError) as error:
        print(error, file=sys.stderr)
        return CANNOT_RUN
    except KeyboardInterrupt:
        print(f"Interrupted; {arguments.out} is as it was.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = Parser(
        prog="python -m reference train",
        description="Train the tiny GPT-2 and write it as a Hugging Face checkpoint.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("reference/tiny"), help="folder to write or replace")
    add("--steps", type=_positive(int), default=default.steps, help="end after so many steps")
    add("--minutes", type=_positive(float), default=default.minutes, help="or after so long")
    add("--batch-size", type=_positive(int), default=default.batch_size, help="windows a step")
    add("--learning-rate", type=_positive(float), default=default.learning_rate, help="at its peak")
    add("--seed", type=int, default=default.seed, help="of the weights and the windows")
    add("--threads", type=_positive(int), default=torch.get_num_threads(), help="of PyTorch")
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def positive(text: str) -> float:
        number = kind(text)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return number

    return positive
