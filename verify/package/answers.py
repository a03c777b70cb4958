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

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reference.decoder import load_decoder
from reports.commands import UsageError
from verify.candidate.guard import CandidateError, compiling
from verify.candidate.sandbox import TRACEBACK
from verify.decoder import (
    decoder_outline,
    decoder_sizes,
    expected_taps,
    mathematics_checks,
    one_thread_if_small,
    weights_of,
)
from verify.graph.errors import GraphError
from verify.judge.verdict import Check
from verify.mutants.mutation_score import Mutants
from verify.outcome import Outcome
from verify.package.computing.compiled import compiled_checks
from verify.package.computing.paired import PairedPackage
from verify.package.computing.served import ORDERS, Served, Standards
from verify.package.computing.serving_faults import power_checks
from verify.package.installed.preflight import preflight_checks
from verify.package.names import ANSWERS
from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.once import checked_once
from verify.package.opening.opened import encoding_of, open_package
from verify.package.opening.subject import Package, first_line
from verify.package.reading.checkpoint import checkpoint_checks
from verify.package.reading.configuration import configuration_checks
from verify.truth.any_decoder import DecoderMathematics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from verify.judge.verdict import Verdict
    from verify.package.installed.found import Found
    from verify.package.opening.evaluated_engine import Engine
    from verify.package.opening.opened import Opened
    from verify.pairing.file import Corrections

MODES = {
    "preflight": "preflight", "weights": "checkpoint", "configuration": "configuration",
    "mathematics": "math", "power": "math-power", "compiled": "served",
}  # fmt: skip
"""What the checks of each answer are called in records."""

LONGEST = 512
"""Tokens of a request at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePlan:
    """What to verify.

    Attributes:
        found: the package.
        folder: the checkpoint's.
        drawn: whether it is a tiny one that was drawn: then each field of its configuration counts,
            whatever it says.
        seed: draws token ids, envelopes, mutants and tiny models.
        quick: stop before anything is compiled.
        compile_anyway: compile also a package that is wrong.
        every_mutant: judge all mutants of the graph, not a sample.
        answers: which are given besides the preflight; the configuration's takes most of the time.
        corrections: what a pairing file says of modules.
    """

    found: Found
    folder: Path
    drawn: bool = False
    seed: int = 0
    quick: bool = False
    compile_anyway: bool = False
    every_mutant: bool = False
    answers: Sequence[str] = ANSWERS
    corrections: Corrections | None = None

    @property
    def package(self) -> Package:
        """How the package is opened."""
        narrow = encoding_of(self.folder) if self.drawn else None
        return Package(v3=self.found.preferred, custom=self.found.customs, encoding=narrow)


@dataclass(slots=True)
class Answered(Outcome):
    """An outcome with the seconds that each answer took.

    Attributes:
        seconds: by answer, those that were given.
        given: by answer, its checks.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    given: dict[str, list[Check]] = field(default_factory=dict)

    @property
    def answers(self) -> dict[str, Verdict]:
        """By answer, its verdict; SKIP where nothing could be asked."""
        return {
            name: Outcome(checks=checks).verdict if _judged(checks) else "SKIP"
            for name, checks in self.given.items()
        }

    def more(self) -> dict[str, Any]:
        """Each answer with its verdict and its seconds."""
        verdicts = self.answers
        answers = {
            name: {"verdict": verdicts[name], "seconds": self.seconds[name]}
            for name in ANSWERS if name in verdicts
        }  # fmt: skip
        return {"answers": answers}


def _judged(checks: Sequence[Check]) -> bool:
    return any(check.verdict != "SKIP" for check in checks)


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
    package: Package = field(init=False)
    served: Served | None = None

    def answer(self, name: str, checks: Iterator[Check]) -> None:
        """Make the checks of one answer, and note its verdict and its time."""
        self.status(name)
        own, start_s = self.outcome.given.setdefault(name, []), time.monotonic()
        try:
            for check in checks:
                self._add(own, replace(check, regime=check.regime or "given", device="cpu"))
        except GraphError as error:
            mode = MODES[name]
            self._add(own, Check(case=name, mode=mode, tap="", verdict="SKIP", message=str(error)))
        except (CandidateError, UsageError):
            raise
        except Exception as error:  # whatever the package's own code raises
            if TRACEBACK in os.environ:
                raise
            message = f"the package raises {first_line(error)}"
            made = Check(case=name, mode=MODES[name], tap="", verdict="ERROR", message=message)
            self._add(own, made)
        before = self.outcome.seconds.get(name, 0.0)
        self.outcome.seconds[name] = before + time.monotonic() - start_s

    def _add(self, own: list[Check], check: Check) -> None:
        own.append(check)
        self.outcome.checks.append(check)
        self.emit(check)

    def all_others(self) -> None:
        """Every answer but the first."""
        plan = self.plan
        self.package = plan.package.that_opens(plan.folder)
        if "weights" in plan.answers:
            self.answer("weights", checkpoint_checks(self.package, plan.folder))
        if "configuration" in plan.answers:
            self.answer("configuration", self._configuration())
        if not {"mathematics", "power", "compiled"} & set(plan.answers):
            return
        model = load_decoder(str(plan.folder))
        with one_thread_if_small(model):
            truth = DecoderMathematics(model)
            self._evaluated(model, truth)
            verdicts = self.outcome.answers
            wrong = "FAIL" in (verdicts.get("weights"), verdicts.get("mathematics"))
            asked = "compiled" in plan.answers and not plan.quick
            if asked and (not wrong or plan.compile_anyway):
                self.answer("compiled", self._compiled(model, truth))

    def _evaluated(self, model: Any, truth: DecoderMathematics) -> None:
        """The answers for which the package's graph is evaluated."""
        plan, outcome = self.plan, self.outcome
        with evaluating() as engine, checked_once():
            self.answer("mathematics", self._mathematics(model, truth, engine))
            if "power" not in plan.answers or self.served is None:
                return
            if outcome.answers["mathematics"] == "PASS":
                longest = _longest(model)
                self.answer("power", power_checks(self.served.requests, self.served, longest))
            self.answer("power", outcome.mutants.checks())

    def _mathematics(
        self, model: Any, truth: DecoderMathematics, engine: Engine
    ) -> Iterator[Check]:
        """Each stage alone and the whole, and then as it is served."""
        plan, outcome, longest = self.plan, self.outcome, _longest(model)
        requests = Requests(self._opened(longest), engine, longest)
        paired = PairedPackage(
            requests, decoder_outline(model), weights_of(model), truth.oracle, plan.corrections
        )
        outcome.order = list(paired.reference.places)
        outcome.pairing = paired.pairing
        outcome.expected = expected_taps(paired)
        sizes = decoder_sizes(model.config, None, None)
        yield from mathematics_checks(paired, model, sizes, plan.seed, truth, outcome, self.status)
        self.served = _served(requests, paired, truth, plan.seed)
        yield from self.served.checks(longest)

    def _configuration(self) -> Iterator[Check]:
        """What is not followed fails a package, but not on a checkpoint that does not ask for it.

        There, whether the checkpoint's own values are followed is the mathematics' answer.
        """
        plan = self.plan
        for check in configuration_checks(_config(plan.folder), self.package, seed=plan.seed):
            if check.verdict in ("FAIL", "ERROR") and not plan.drawn:
                message = f"{check.message}; the checkpoint's own value is judged below"
                yield replace(check, verdict="SKIP", message=message)
            else:
                yield check

    def _compiled(self, model: Any, truth: DecoderMathematics) -> Iterator[Check]:
        longest = _longest(model)
        if encoding_of(self.plan.folder) != "float32":
            message = "MAX serves 16 bits on accelerators alone: compile a copy in float32"
            yield Check(case="compiled", mode="served", tap="", verdict="SKIP", message=message)
            return
        self.outcome.compiled = True
        with compiling(self.plan.found.name):
            opened = self._opened(longest)
        yield from compiled_checks(
            opened, model, truth.oracle, longest=longest, seed=self.plan.seed
        )

    def _opened(self, longest: int) -> Opened:
        package = self.package
        return open_package(
            self.plan.folder, v3=package.v3, custom=package.custom, encoding=package.encoding,
            max_length=longest, echo=package.echo,
        )  # fmt: skip


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
