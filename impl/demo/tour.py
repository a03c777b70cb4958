"""What `python -m impl demo` shows, in its order, and whether it is right.

1. what was loaded; 2. a forward pass, held against NumPy in float64; 3. what the heads look at;
4. a greedy, a moderate and a creative text; 5. tokens per second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from impl.compiling import announced_to
from impl.demo import heat_text
from impl.demo.findings import STYLES, Shown, Style
from impl.sampling import Sampler
from reports.commands import WIDTH, UsageError, as_called, check_written
from reports.waiting import Waiting, print_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from impl.demo.inside_model import Seen
    from impl.engine import Engine
    from impl.tokenizer import Tokenizer
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

PROMPT = "And it came to pass"
BEST = 5
"""Next tokens that are listed."""

SHOWN_TOKENS = 24
"""Tokens of the prompt that an attention map has, the last ones."""

LABEL = 12
"""Characters of a token's label."""

LARGEST_ORACLE = 400_000_000
"""Parameters up to which NumPy's float64 copy of the weights, 8 bytes each, is made."""

CLOSE = 1e-4
"""How far logits in float32 may be from float64's here, of the largest: a glance, not a proof."""

DECODED = 64
"""Tokens that are timed, where the context has room for them."""


def add_demo(add: Callable[..., object]) -> None:
    """Add the command's options."""
    add("prompt", nargs="?", default=PROMPT, metavar="PROMPT", help="(%(default)r)")
    add("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    add("--max-new-tokens", type=int, default=40, help="of each text (default: %(default)s)")
    add("--blocks", default="", metavar="N,N", help="whose attention is shown (the middle one)")
    add("--heads", default="", metavar="N,N", help="of these blocks (all)")
    add("--page", type=Path, metavar="FILE", help="write all of it, with every head, as HTML")


def demo(arguments: argparse.Namespace) -> int:
    """Run the command; 0, or 1 where the forward pass is wrong."""
    from impl.generate import check_prompt
    from impl.runtime import check_device
    from impl.tokenizer import Tokenizer
    from reference.load import load

    check_device(arguments.device)
    check_written(arguments.page, "--page")
    checkpoint = load(arguments.model, revision=arguments.revision)
    config = checkpoint.config
    blocks = _numbers("--blocks", arguments.blocks, config.n_layer) or [config.n_layer // 2]
    heads = _numbers("--heads", arguments.heads, config.n_head) or list(range(config.n_head))
    if checkpoint.folder is None:
        raise UsageError(f"{checkpoint.name} has no tokenizer, so that no text can be shown")
    tokenizer = Tokenizer.load(checkpoint.folder, model_vocab_size=config.vocab_size)
    ids = np.array([tokenizer.encode(arguments.prompt)], np.int64)
    ids = check_prompt(config, ids, arguments.max_new_tokens)
    tour = _Tour(checkpoint, tokenizer, ids, arguments)
    return tour.run(blocks, heads)


def _numbers(option: str, text: str, count: int) -> list[int]:
    """Of `--blocks 0,3`."""
    parts = [part.strip() for part in text.split(",")] if text else []
    for part in parts:
        if not part.isdecimal() or int(part) >= count:
            raise UsageError(f"{option}: {part!r} is not a number from 0 to {count - 1}")
    return [int(part) for part in parts]


class _Tour:
    """One run of the command."""

    def __init__(
        self, checkpoint: Checkpoint, tokenizer: Tokenizer, ids: Array, options: Any
    ) -> None:
        self.checkpoint, self.tokenizer, self.ids, self.options = (
            checkpoint, tokenizer, ids, options,
        )  # fmt: skip
        terminal = sys.stdout.isatty()
        self.console = Console(width=None if terminal else WIDTH, highlight=False)
        self.colour = self.console.color_system in ("256", "truecolor") and (
            not self.console.no_color
        )

    def run(self, blocks: Sequence[int], heads: Sequence[int]) -> int:
        """Show everything."""
        inside, engine = self._loaded()
        seen = inside(self.ids)
        truth = self._truth()
        checks = list(_checks(self.checkpoint, self.ids, seen, truth, engine))
        best = self._forward(seen, checks)
        self._attention(seen, truth, blocks, heads)
        texts = list(self._texts(engine))
        speeds = self._speeds(engine)
        if self.options.page:
            from impl.demo.demo_page import write_page

            tokens = [self.tokenizer.decode([int(token)]) for token in self.ids[0]]
            write_page(self.options.page, Shown(
                checkpoint=self.checkpoint, tokens=tokens, seen=seen, truth=truth, checks=checks,
                best=best, texts=texts, speeds=speeds,
            ))  # fmt: skip
            self._say(f"\nPage: {self.options.page}")
        return 0 if all(holds for holds, _ in checks) else 1

    def _say(self, text: Any = "") -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def _title(self, text: str) -> None:
        self._say()
        self.console.print(text, markup=False, style="bold")

    def _loaded(self) -> tuple[Any, Engine]:
        from impl.demo.inside_model import InsideModel
        from impl.engine import Engine

        config = self.checkpoint.config
        self.console.print("1. The model", style="bold")
        self._say(
            f"{self.checkpoint.name}: {config.n_layer} blocks of {config.n_head} heads, "
            f"{config.n_embd} features, {config.vocab_size:,} tokens, {config.n_positions} "
            f"positions, {config.parameter_count:,} parameters"
        )
        for note in self.checkpoint.notes:
            self._say(f"  {note}")
        started = time.perf_counter()
        with announced_to(Waiting(print_line)):
            inside = InsideModel(self.checkpoint, self.options.device)
            engine = Engine(config, self.checkpoint.weights, self.options.device)
        self._say(f"compiled in {time.perf_counter() - started:.1f} s: {engine.kernel_path}")
        return inside, engine

    def _truth(self) -> Seen | None:
        from impl.demo.inside_model import in_float64

        large = self.checkpoint.config.parameter_count > LARGEST_ORACLE
        return None if large else in_float64(self.checkpoint, self.ids)

    def _forward(self, seen: Seen, checks: Sequence[tuple[bool, str]]) -> list[tuple[str, float]]:
        self._title(f"2. A forward pass over {self.ids.shape[1]} tokens")
        for holds, text in checks:
            self._say(f"{'ok   ' if holds else 'WRONG'} {text}")
        probabilities = Sampler().probabilities(seen.logits[-1:])[0]
        order = np.argsort(-probabilities)[:BEST]
        best = [(self.tokenizer.decode([int(t)]), float(probabilities[t])) for t in order]
        self._say("next: " + ", ".join(f"{text!r} {share:.0%}" for text, share in best))
        return best

    def _attention(
        self, seen: Seen, truth: Seen | None, blocks: Sequence[int], heads: Sequence[int]
    ) -> None:
        tokens = [self.tokenizer.decode([int(token)]) for token in self.ids[0]][-SHOWN_TOKENS:]
        size = len(tokens)
        labels = [_label(token) for token in tokens]
        indent = max(map(len, labels)) + 1
        self._title("3. What each token looks at")
        hidden = self.ids.shape[1] - size
        if hidden:
            self._say(f"the last {size} tokens; what goes to the first {hidden} is left out")
        fit = heat_text.together(self.console.width, size, indent)
        for block in blocks:
            for first in range(0, len(heads), fit):
                some = heads[first : first + fit]
                names = [f"h.{block} head {head}" for head in some]
                self._say(heat_text.titles(names, size, indent))
                maps = [seen.shares[block, head][-size:, -size:] for head in some]
                for line in heat_text.heat_rows(maps, labels, colour=self.colour):
                    self._say(line)
        self._say(heat_text.key(colour=self.colour))
        if truth is not None:
            self._say(
                "beside NumPy in float64, over all blocks and heads, shares differ by "
                f"{np.abs(seen.shares - truth.shares).max():.1e} at most"
            )

    def _texts(self, engine: Engine) -> Iterator[tuple[Style, str, str]]:
        from impl.generate import generate, text_pieces

        self._title("4. Three ways to go on")
        prompt = self.tokenizer.decode(self.ids[0].tolist())
        eos = self.tokenizer.eos_token_id
        for style in STYLES:
            engine.reset()
            steps = generate(
                engine, self.ids, max_new_tokens=self.options.max_new_tokens,
                sampler=Sampler(style.temperature, style.top_k, style.top_p, style.seed),
                stop_tokens=() if eos is None else (eos,),
            )  # fmt: skip
            text = "".join(text_pieces(steps, self.tokenizer))
            self._say(f"{style.words}:\n  {prompt}{text}".replace("\n\n", "\n"))
            yield style, prompt, text

    def _speeds(self, engine: Engine) -> list[str]:
        self._title("5. Tokens per second")
        lines = list(_timed(engine, self.ids))
        lines.append(
            as_called("one pass each, with nothing beside it; python -m bench measures it properly")
        )
        for line in lines:
            self._say(line)
        return lines


def _label(token: str) -> str:
    text = token.replace(" ", "_").replace("\n", "\\n")
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


def _checks(
    checkpoint: Checkpoint, ids: Array, seen: Seen, truth: Seen | None, engine: Engine
) -> Iterator[tuple[bool, str]]:
    """Sentences about a forward pass, each with whether it holds."""
    config, length = checkpoint.config, ids.shape[1]
    shape = (length, config.vocab_size)
    right = seen.logits.shape == shape and seen.logits.dtype == np.float32
    yield right, f"logits {list(seen.logits.shape)}, {seen.logits.dtype}: a row for each token"
    finite = bool(np.isfinite(seen.logits).all())
    yield finite, "all of them are finite"
    sums = float(np.abs(seen.shares.sum(axis=-1) - 1).max())
    ahead = float(np.triu(seen.shares, k=1).max())
    yield (
        sums < CLOSE and ahead == 0.0,
        (f"what each token takes sums to 1 within {sums:.0e}, and is 0 of those ahead of it"),
    )
    cached = engine.prefill(ids, logits="all")[0]
    yield _near(cached, seen.logits), _beside("the engine with a KV cache", cached, seen.logits)
    if truth is not None:
        yield (
            _near(seen.logits, truth.logits),
            _beside("NumPy in float64", seen.logits, truth.logits),
        )


def _near(found: Array, truth: Array) -> bool:
    """Whether logits are close, and the likeliest tokens the same, but for ties."""
    apart = np.abs(found - truth)
    if not apart.max() <= CLOSE * np.abs(truth).max():  # NaN is not near either
        return False
    two = np.sort(truth, axis=-1)[:, -2:]
    tie = two[:, 1] - two[:, 0] <= 2 * apart.max(axis=-1)
    return bool(((found.argmax(axis=-1) == truth.argmax(axis=-1)) | tie).all())


def _beside(what: str, found: Array, truth: Array) -> str:
    same = int((found.argmax(axis=-1) == truth.argmax(axis=-1)).sum())
    return (
        f"beside {what} the likeliest token is the same at {same} of {len(truth)} positions; "
        f"logits differ by {np.abs(found - truth).max():.1e} at most, of {np.abs(truth).max():.1f}"
    )


def _timed(engine: Engine, ids: Array) -> Iterator[str]:
    """Prefill and decode, after one pass that is not timed."""
    engine.reset()
    engine.prefill(ids)
    engine.reset()
    started = time.perf_counter()
    logits = engine.prefill(ids)
    seconds = time.perf_counter() - started
    length = ids.shape[1]
    yield f"prefill: {length / seconds:,.0f} ({length} tokens in {1e3 * seconds:.1f} ms)"
    count = min(DECODED, engine.config.n_positions - length)
    started = time.perf_counter()
    for _ in range(count):
        logits = engine.decode(logits.argmax(axis=-1))
    seconds = time.perf_counter() - started
    if count:
        yield f"decode: {count / seconds:,.0f} ({1e3 * seconds / count:.2f} ms a token)"
