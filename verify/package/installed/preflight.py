"""Whether a package can be served at all by the installed MAX on a checkpoint; nothing compiles.

The parts are taken in the order in which MAX Serve comes to them, as far as they go. What can be
told of a part without running it is told whole: every import, every signature. A part that cannot
be reached is skipped, and says which part ended it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from max.graph.weights import WeightsFormat, load_weights, weights_format
from max.pipelines.lib.memory_estimation import MemoryEstimator
from max.pipelines.lib.utils import parse_state_dict_from_weights

from verify.candidate.guard import CandidateError, a
from verify.judge.verdict import Check
from verify.package.installed.failing import BeyondError, told
from verify.package.installed.found import for_checkpoint, read_config, widen
from verify.package.installed.moved import release
from verify.package.installed.overrides import misfits
from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.opened import configured, encoding_of, open_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from verify.judge.verdict import Verdict
    from verify.package.installed.found import Found

MODE = "preflight"

TOKENS = 3
"""Of the one pass."""

MAX_LENGTH = 512
"""Tokens of a request at most, where the checkpoint allows as many."""


def preflight_checks(found: Found, folder: Path) -> Iterator[Check]:
    """The parts of the preflight.

    Args:
        found: the package; it is widened where it declares no float32.
        folder: a checkpoint in Hugging Face's form.

    Raises:
        UsageError: where the folder is no checkpoint.
        CandidateError: where the package does not declare the checkpoint's architecture.
    """
    package = _Package(for_checkpoint(found, folder), folder)
    ended = ""
    for part, run in package.parts.items():
        if ended and part not in package.readable:
            yield _check(part, "SKIP", f"not reached: the preflight ended at: {ended}")
            continue
        checks = _run(part, run)
        yield from checks
        verdicts = {check.verdict for check in checks}
        if part != "signatures" and ("FAIL" in verdicts or "PASS" not in verdicts):
            ended = ended or part


def _run(part: str, run: Callable[[str], Iterator[Check]]) -> list[Check]:
    """The checks of one part; what the harness cannot evaluate is no fault of the package."""
    try:
        return list(run(part))
    except BeyondError as error:
        return [_check(part, "SKIP", str(error))]
    except CandidateError as error:
        return [_failed(part, error)]


def _check(part: str, verdict: Verdict, message: str, tap: str = "", **more: Any) -> Check:
    return Check(case=part, mode=MODE, tap=tap, verdict=verdict, message=message, **more)


def _failed(part: str, error: CandidateError) -> Check:
    """The check for what a package raised, with its own last frames."""
    frames = list(getattr(error, "__notes__", ()))
    details = {"frames": [frame.strip() for frame in frames]} if frames else None
    return _check(part, "FAIL", str(error), details=details)


class _Package:
    """A package on a checkpoint, as far as it has come."""

    def __init__(self, found: Found, folder: Path) -> None:
        self.found = found
        self.folder = folder
        self.config: Any = None
        self.length = MAX_LENGTH
        self.parts: dict[str, Callable[[str], Iterator[Check]]] = {
            "imports": self.imports,
            "registers": self.registers,
            "signatures": self.signatures,
            "configuration reads": self.configuration,
            "memory plan": self.plan,
            "weights adapter": self.adapter,
            "model opens": self.opens,
            "one pass": self.passes,
        }
        self.readable = {"imports", "registers", "signatures"}
        self.tokens = TOKENS
        self.logits: Any = None

    @property
    def architecture(self) -> Any:
        return self.found.architecture

    def imports(self, part: str) -> Iterator[Check]:
        for place, sentence in self.found.missing:
            yield _check(part, "FAIL", f"{sentence} ({place})", tap=place)
        if not self.found.missing:
            yield _check(part, "PASS", f"{self.found.name} is imported")

    def registers(self, part: str) -> Iterator[Check]:
        unfit = self.found.unfit
        complaints = [*unfit, *_declarations(self.architecture, " ".join(unfit))]
        for sentence in complaints:
            yield _check(part, "FAIL", sentence, tap=self.architecture.name)
        if self.architecture.memory_planner is None:
            message = (
                f"{self.architecture.name} has no `memory_planner`: MAX keeps no memory for "
                "activations; write memory_planner=PagedMemoryPlanner"
            )
            yield _check(part, "SKIP", message, tap=self.architecture.name)
        if not complaints:
            self.found = widen(self.found, encoding_of(self.folder))
            message = f"MAX {release()} takes {self.architecture.name}"
            note = f"; {self.found.note}" if self.found.note else ""
            yield _check(part, "PASS", message + note, tap=self.architecture.name)

    def signatures(self, part: str) -> Iterator[Check]:
        fits = True
        for each in misfits(self.found):
            fits &= not each.breaks
            verdict: Verdict = "FAIL" if each.breaks else "PASS"
            yield _check(part, verdict, f"{each.sentence} ({each.place})", tap=each.place)
        if fits:
            message = f"the package's classes fit those of MAX {release()}"
            yield _check(part, "PASS", message, tap=self.architecture.name)

    def configuration(self, part: str) -> Iterator[Check]:
        """MAX's own configuration is made for a package that need not return every logit."""
        cls = self.architecture.config
        with self._told("reading config.json"):
            self.length = self._length()
            self.config, architecture = configured(
                self.folder, v3=self.found.preferred, custom=self.found.customs,
                max_length=self.length, echo=False,
            )  # fmt: skip
            made = cls.initialize(self.config, max_seq_len=self.config.model.max_length)
            if made is None:
                raise CandidateError(f"{cls.__name__}.initialize returns None")
            made.get_kv_params()
        if architecture is not self.architecture:
            raise CandidateError(
                f"MAX takes another package's {architecture.name} for this checkpoint"
            )
        yield _check(part, "PASS", f"{cls.__name__} reads config.json", tap=cls.__name__)

    def _length(self) -> int:
        """By transformers' own reading, which knows what GPT-2 calls `n_positions`."""
        from transformers import AutoConfig

        read_config(self.folder)
        config = AutoConfig.from_pretrained(str(self.folder), local_files_only=True)
        longest = getattr(config, "max_position_embeddings", None)
        return min(longest, MAX_LENGTH) if isinstance(longest, int) else MAX_LENGTH

    def plan(self, part: str) -> Iterator[Check]:
        with self._told("MAX's memory plan"):
            plan = MemoryEstimator.plan(self.config, self.architecture)
        if not plan.available_cache_memory:
            raise CandidateError("MAX's memory plan leaves nothing for the cache")
        yield _check(part, "PASS", f"MAX plans a cache of {plan.available_cache_memory:,} bytes")

    def adapter(self, part: str) -> Iterator[Check]:
        paths = self.config.model.resolved_weight_paths()
        adapter = self.architecture.weight_adapters.get(weights_format(paths))
        weights = load_weights(paths)
        # MAX compiles a graph to cast a weight: it is evaluated too.
        with evaluating(places=False), self._told("the weight adapter"):
            adapted = parse_state_dict_from_weights(self.config, weights, adapter)
        if not isinstance(adapted, dict):
            raise CandidateError(f"the weight adapter returns {a(adapted)} and not a dict")
        how = f"makes {len(adapted)}" if adapter else f"is none; MAX takes {len(adapted)}"
        message = f"the weight adapter {how} names of the checkpoint's {len(dict(weights.items()))}"
        yield _check(part, "PASS", message)

    def opens(self, part: str) -> Iterator[Check]:
        """The model is made, and has its pass, while MAX's engine is replaced."""
        with evaluating() as engine:
            opened, note = self._opened()
            model = type(opened.model).__name__
            graphs = len(engine.models)
            yield _check(part, "PASS", f"{model} makes its graphs: {graphs}{note}", tap=model)
            try:
                with self._told("one pass"):
                    self.tokens = 1 if note else TOKENS
                    self.logits = _logits(Requests(opened, engine, self.length), self.tokens)
            except CandidateError as error:
                self.logits = error

    def _opened(self) -> tuple[Any, str]:
        """The package's model, with a note where it returns the last token's logits alone."""
        doing = f"{self.architecture.pipeline_model.__name__}(...)"
        refused = None
        for echo in (True, False):
            try:
                with self._told(doing):
                    opened = open_package(
                        self.folder, v3=self.found.preferred, custom=self.found.customs,
                        max_length=self.length, echo=echo,
                    )  # fmt: skip
            except CandidateError as error:
                refused = refused or error
            else:
                note = "" if echo else f", for the last token's logits alone ({refused})"
                return opened, note
        assert refused is not None
        raise refused

    def passes(self, part: str) -> Iterator[Check]:
        if isinstance(self.logits, CandidateError):
            raise self.logits
        shape = self.logits.shape
        vocabulary = self.config.model.huggingface_config.get_text_config().vocab_size
        given = f"{self.tokens} token{'s give' if self.tokens > 1 else ' gives'}"
        if shape not in ((self.tokens, vocabulary), (1, vocabulary)):
            raise CandidateError(f"{given} logits {list(shape)}, not {[self.tokens, vocabulary]}")
        if not np.isfinite(self.logits).all():
            raise CandidateError(f"{given} logits that are not finite")
        message = f"{given} finite logits {list(shape)}"
        yield _check(part, "PASS", message, shape=shape)

    def _told(self, doing: str) -> AbstractContextManager[None]:
        return told(doing, self.found, self.folder)


def _logits(requests: Requests, tokens: int) -> Any:
    """Logits of some tokens, `[tokens, vocab_size]` float64."""
    one = requests.begin(np.arange(1, tokens + 1))
    passed = requests.run([(one, tokens)])
    requests.end(one)
    return passed.logits[0]


def _declarations(architecture: Any, said: str) -> Iterator[str]:
    """What a `SupportedArchitecture` lacks for the generation of text, and has not been said."""
    name, model = architecture.name, architecture.pipeline_model
    if not (architecture.batching or getattr(model, "batch_processor_cls", None)):
        yield f"{name} has no `batching`: MAX makes the inputs of a step with a BatchProcessor"
    for field in ("task", "context_type", "config", "tokenizer", "default_weights_format"):
        if getattr(architecture, field) is None and f"`{field}`" not in said:
            yield f"{name} has no `{field}`"
    encodings = architecture.supported_encodings
    if not isinstance(encodings, set | frozenset):
        yield f"`supported_encodings` of {name} is {a(encodings)}; MAX {release()} takes a set"
    elif not encodings:
        yield f"`supported_encodings` of {name} is empty"
    adapters = architecture.weight_adapters
    if not isinstance(adapters, dict):
        yield f"`weight_adapters` of {name} is {a(adapters)}, not a dict"
    elif adapters and WeightsFormat.safetensors not in adapters:
        yield f"{name} has no weight adapter for safetensors, but for other formats"
