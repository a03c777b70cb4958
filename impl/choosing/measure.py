"""`python -m impl choose`: which kernels are the fastest here, by turns, kept for later engines.

Each kind of kernels has a process of its own. They take turns, in another order each round, so that
what slows the machine down meets all of them; a ratio is the median over the rounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from impl.choosing.kept import Measured, keep
from impl.choosing.kernel_choice import form_of_cpu
from impl.choosing.tiles import refusal
from impl.precompile import KernelError
from reports.commands import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from impl.config import GPT2Config

PROMPT = 128
"""Tokens of a prompt, and before a decode step; fewer where the context has less room."""

MARGIN = 1.02
"""By how much others must be faster than the kernels that fit the CPU, to be taken instead."""

Times = dict[str, list[float]]
"""Seconds of each round, by kernels."""


class Contender:
    """A process that builds an engine, and takes turns."""

    def __init__(self, kernels: str, model: str) -> None:
        self.kernels = kernels
        self._process = subprocess.Popen(
            [sys.executable, "-m", "impl.choosing.contender", kernels, model],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ready(self) -> str:
        """Wait for the engine; what runs.

        Raises:
            impl.precompile.KernelError: where it cannot be built.
        """
        told = json.loads(self._line())
        if "error" in told:
            raise KernelError(told["error"])
        return str(told["path"])

    def turn(self, what: str, count: int) -> float:
        """Seconds of a `prefill` of so many tokens, or of a `decode` step after them."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise KernelError(f"the engine of {self.kernels} kernels ended without an answer")
        return line


def contenders() -> list[str]:
    """Kernels that are worth a comparison here, those that fit the CPU first."""
    own = form_of_cpu()
    forms = {"avx512": ["avx512", "avx2"]}.get(own, [own])
    forms += [] if refusal() else ["tiles"]
    return [*(f"mojo-{form}" for form in forms), "stock"]


def measured(model: str, config: GPT2Config, rounds: int, tell: Callable[[str], None]) -> Measured:
    """Let all contenders take turns.

    Args:
        model: as `reference.load.load` takes it.
        config: its sizes.
        rounds: turns of each.
        tell: is given a sentence now and then.

    Raises:
        impl.precompile.KernelError: where nothing, or only one kind, can be built.
    """
    count = min(PROMPT, config.n_positions - 16)
    with ExitStack() as stack:
        ready: list[Contender] = []
        for kernels in contenders():
            contender = stack.enter_context(Contender(kernels, model))
            try:
                tell(f"{kernels}: {contender.ready()}")
            except KernelError as error:
                tell(f"{kernels}: {error}")
                continue
            ready.append(contender)
        if len(ready) < 2:
            raise KernelError("there are not two kinds of kernels to compare here")
        decode, prefill = (_turns(ready, what, count, rounds) for what in ("decode", "prefill"))
    return _chosen(decode, prefill)


def _turns(ready: Sequence[Contender], what: str, count: int, rounds: int) -> Times:
    times: Times = {each.kernels: [] for each in ready}
    order = list(ready)
    for each in order:
        each.turn(what, count)  # the first one is not like the others
    draws = np.random.default_rng(0)
    for _ in range(rounds):
        draws.shuffle(order)
        for each in order:
            times[each.kernels].append(each.turn(what, count))
    return times


def _chosen(decode: Times, prefill: Times) -> Measured:
    """Those that take the least time in both, by the geometric mean; the CPU's own in doubt."""
    own = next(iter(decode))

    def over(times: Times, name: str, other: str) -> float:
        """The time of `other` over that of `name`."""
        return median(b / a for a, b in zip(times[name], times[other], strict=True))

    def gain(name: str) -> float:
        return sqrt(over(decode, name, own) * over(prefill, name, own))

    best = max(decode, key=gain)
    kernels = best if gain(best) > MARGIN else own
    others = [name for name in decode if name != kernels]
    return Measured(
        kernels=kernels,
        decode={name: round(over(decode, kernels, name), 3) for name in others},
        prefill={name: round(over(prefill, kernels, name), 3) for name in others},
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def told(kernels: str, ratios: Mapping[str, float], what: str) -> str:
    """A line: how many times as fast as each other the chosen kernels are."""
    others = ", ".join(f"{ratio:.2f} times as fast as {name}" for name, ratio in ratios.items())
    return f"{what}: {kernels} is {others}"


def choose_here(arguments: argparse.Namespace) -> int:
    """Measure, keep, and tell; returns 0."""
    from reference.load import load

    if arguments.rounds < 1:
        raise UsageError("--rounds is at least 1")
    config = load(arguments.model).config
    tell = partial(print, flush=True)
    found = measured(arguments.model, config, arguments.rounds, tell)
    print(told(found.kernels, found.decode, "decode"))
    print(told(found.kernels, found.prefill, "prefill"))
    try:
        file = keep(config, found)
    except OSError as error:
        raise UsageError(f"the choice cannot be kept: {error}") from None
    print(f"engines of this shape take {found.kernels} here from now on: {file}")
    return 0


def add_choose(add: Callable[..., object]) -> None:
    """Its own options."""
    add("--rounds", type=int, default=20, help="turns of each kind (default: %(default)s)")
