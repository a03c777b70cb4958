"""The six answers about an architecture package, in their order.

    preflight      does it import, register, fit the installed MAX, read the configuration, open?
    weights        is every tensor of the checkpoint read, and every parameter filled?
    configuration  does it follow each field that changes transformers' model?
    mathematics    is its graph the same mathematics, as a whole and as it is served?
    power          would mistakes have been noticed?
    compiled       does MAX compute that graph?

The first five compile nothing. An answer that fails does not keep the next from being given, but
nothing follows a package that does not open, and a wrong one is compiled only if that is asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reference.decoder import load_decoder
from verify.decoder import (
    EXCUSED,
    decoder_outline,
    decoder_sizes,
    mathematics_checks,
    one_thread_if_small,
    weights_of,
)
from verify.mutants.mutation_score import Mutants
from verify.outcome import Outcome
from verify.package.checkpoint import checkpoint_checks
from verify.package.compiled import compiled_checks
from verify.package.configuration import configuration_checks
from verify.package.driven import Requests
from verify.package.engine import evaluating
from verify.package.faults import power_checks
from verify.package.names import ANSWERS
from verify.package.opened import open_package
from verify.package.paired import PairedPackage
from verify.package.preflight import preflight_checks
from verify.package.served import ORDERS, Served, Standards
from verify.package.subject import Package
from verify.truth.any_decoder import DecoderMathematics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from verify.judge.verdict import Check
    from verify.package.found import Found
    from verify.pairing.file import Corrections

LONGEST = 512
"""Tokens of a request at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePlan:
    """What to verify.

    Attributes:
        found: the package.
        folder: the checkpoint's.
        seed: draws token ids, envelopes, mutants and tiny models.
        quick: stop before anything is compiled.
        compile_anyway: compile also a package that is wrong.
        every_mutant: judge all mutants of the graph, not a sample.
        answers: which are given besides the preflight; the configuration's takes most of the time.
        corrections: what a pairing file says of modules.
    """

    found: Found
    folder: Path
    seed: int = 0
    quick: bool = False
    compile_anyway: bool = False
    every_mutant: bool = False
    answers: Sequence[str] = ANSWERS
    corrections: Corrections | None = None

    @property
    def package(self) -> Package:
        """How the package is opened."""
        return Package(v3=self.found.preferred, custom=self.found.customs)


@dataclass(slots=True)
class Answered(Outcome):
    """An outcome with the seconds that each answer took.

    Attributes:
        seconds: by answer, those that were given.
        answers: by answer, the verdict.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def more(self) -> dict[str, Any]:
        """Each answer with its verdict and its seconds."""
        given = {
            name: {"verdict": self.answers[name], "seconds": self.seconds[name]}
            for name in ANSWERS if name in self.answers
        }  # fmt: skip
        return {"answers": given}


def verify_package(
    plan: PackagePlan,
    emit: Callable[[Check], None] = lambda _: None,
    status: Callable[[str], None] = lambda _: None,
) -> Answered:
    """Give the six answers.

    Args:
        plan: what to verify.
        emit: called with every check as soon as it is made.
        status: called with a few words whenever a new part begins.
    """
    outcome = Answered(mutants=Mutants(every=plan.every_mutant, seed=plan.seed))
    if plan.found.note:
        outcome.notes.append(plan.found.note)
    run = _Run(plan, outcome, emit, status)
    run.answer("preflight", preflight_checks(plan.found, plan.folder))
    if outcome.answers["preflight"] not in ("FAIL", "ERROR"):
        run.all_others()
    return outcome


@dataclass(slots=True)
class _Run:
    plan: PackagePlan
    outcome: Answered
    emit: Callable[[Check], None]
    status: Callable[[str], None]

    def answer(self, name: str, checks: Iterator[Check]) -> None:
        """Make the checks of one answer, and note its verdict and its time."""
        self.status(f"{name}")
        first, start_s = len(self.outcome.checks), time.monotonic()
        for check in checks:
            made = replace(check, regime=check.regime or "given", device="cpu")
            self.outcome.checks.append(made)
            self.emit(made)
        own = Outcome(checks=self.outcome.checks[first:])
        before = self.outcome.seconds.get(name, 0.0)
        self.outcome.seconds[name] = before + time.monotonic() - start_s
        self.outcome.answers[name] = own.verdict if own.checks else "SKIP"

    def all_others(self) -> None:
        """Every answer but the first."""
        plan = self.plan
        if "weights" in plan.answers:
            self.answer("weights", checkpoint_checks(plan.package, plan.folder))
        if "configuration" in plan.answers:
            source = _config(plan.folder)
            self.answer("configuration", configuration_checks(source, plan.package, seed=plan.seed))
        if not {"mathematics", "power", "compiled"} & set(plan.answers):
            return
        model = load_decoder(str(plan.folder))
        with one_thread_if_small(model):
            truth = DecoderMathematics(model)
            self._evaluated(model, truth)
            wrong = self.outcome.verdict == "FAIL"
            asked = "compiled" in plan.answers and not plan.quick
            if asked and (not wrong or plan.compile_anyway):
                self.outcome.compiled = True
                self.answer("compiled", self._compiled(model, truth))

    def _evaluated(self, model: Any, truth: DecoderMathematics) -> None:
        """The answers for which the package's graph is evaluated."""
        plan, outcome = self.plan, self.outcome
        longest = _longest(model)
        with evaluating() as engine:
            opened = open_package(
                plan.folder, v3=plan.package.v3, custom=plan.package.custom, max_length=longest
            )
            requests = Requests(opened, engine, longest)
            paired = PairedPackage(
                requests, decoder_outline(model), weights_of(model), plan.corrections
            )
            _note_places(outcome, paired)
            self.answer("mathematics", self._mathematics(model, truth, paired))
            served = _served(requests, paired, truth, plan.seed)
            self.answer("mathematics", served.checks(longest))
            if "power" not in plan.answers:
                return
            if outcome.answers["mathematics"] != "FAIL":
                self.answer("power", power_checks(requests, served, longest))
            self.answer("power", outcome.mutants.checks())

    def _mathematics(
        self, model: Any, truth: DecoderMathematics, paired: PairedPackage
    ) -> Iterator[Check]:
        sizes = decoder_sizes(model.config, None, None)
        yield from mathematics_checks(
            paired, model, sizes, self.plan.seed, truth, self.outcome, self.status
        )

    def _compiled(self, model: Any, truth: DecoderMathematics) -> Iterator[Check]:
        plan = self.plan
        opened = open_package(
            plan.folder, v3=plan.package.v3, custom=plan.package.custom,
            max_length=_longest(model),
        )  # fmt: skip
        yield from compiled_checks(
            opened, model, truth.oracle, longest=_longest(model), seed=plan.seed
        )


def _note_places(outcome: Outcome, paired: PairedPackage) -> None:
    outcome.order = list(paired.reference.places)
    outcome.pairing = paired.pairing
    shown = set(paired.forced_taps)
    outcome.expected = {tap: "" if tap in shown else EXCUSED for tap in paired.reference.places}


def _served(
    requests: Requests, paired: PairedPackage, truth: DecoderMathematics, seed: int
) -> Served:
    others = [order for order in truth.orders if order.order in ORDERS]
    standards = Standards(truth.oracle, others, paired.reference.head[0])
    readers = {tap: paired.readers[tap] for tap in paired.forced_taps}
    return Served(requests, standards, seed, readers)


def _longest(model: Any) -> int:
    """Tokens of a request at most: what the model has positions for, up to `LONGEST`."""
    return int(min(LONGEST, getattr(model.config, "max_position_embeddings", LONGEST)))


def _config(folder: Path) -> Any:
    """Transformers' configuration of a checkpoint."""
    import transformers

    return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
