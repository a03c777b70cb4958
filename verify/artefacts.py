"""Arrays that a report draws and that are not checks, saved next to the records as one `.npz`.

Keys are paths; `reports/SCHEMA.md` lists them. Everything is cut to what a page can show, so that
the file stays small for a model of any size.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.tokenizer import Tokenizer
from reference.taps import INPUT, LOGITS
from verify.judge.metrics import kl_divergence
from verify.judge.whole_tensor import heads_at, pictured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from reference.checkpoint import Checkpoint
    from reference.trace import Array, Trace
    from verify.candidate.model_graphs import BoundCandidate
    from verify.candidate.observation import Observation
    from verify.judge.verdict import Check
    from verify.truth.expectation import Expectation
    from verify.truth.references import References

FILE = "artefacts.npz"

TOKENS = 96
"""Most tokens of one case whose errors are kept."""

PROMPT, CONTINUED = 16, 12
"""Tokens of text that the models are looked into at, and how many the reference goes on by."""

ATTENTION_CELLS = 150_000
"""Most attention weights that are kept, over all layers and heads; the text is cut to fit."""

TOP = 5
ROWS, COLUMNS = 3, 4
"""Tokens and features that are kept on either side of the worst element."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a report that could not be made.

    Attributes:
        part: of what, in words.
        error: why: the exception's type and its message.
    """

    part: str
    error: str

    @classmethod
    def of(cls, part: str, error: Exception) -> Problem:
        """The problem that an exception is."""
        return cls(part, f"{type(error).__name__}: {error}")

    def record(self) -> dict[str, Any]:
        """As `problem` records have it (`reports/SCHEMA.md`)."""
        return {"record": "problem", **asdict(self)}


@dataclass(slots=True)
class Artefacts:
    """Arrays by path; they grow while a run goes on.

    Attributes:
        arrays: what is kept so far.
        shown: cases whose tokens' errors are kept whatever they are.
        problems: what could not be kept.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    @contextmanager
    def making(self, part: str) -> Iterator[None]:
        """What raises in this context is a problem of one part, and not the end of the run.

        Args:
            part: in words: `errors of tokens, given-2x9`.
        """
        try:
            yield
        except Exception as error:
            self.problems.append(Problem.of(part, error))

    def look(
        self,
        observed: Observation,
        expected: Expectation,
        checks: Sequence[Check],
        *,
        tokens: bool = False,
    ) -> None:
        """Keep what one case shows.

        Args:
            observed: what the model under test computed.
            expected: what that was compared with.
            checks: of this case.
            tokens: keep each token's error too; a case that fails alone keeps it anyway.
        """
        failed = [c for c in checks if c.mode == "isolated" and c.verdict == "FAIL"]
        if tokens:
            self.shown.add(expected.case.name)
        case = expected.case.name
        if tokens or failed:
            with self.making(f"errors of tokens, {case}"):
                self._keep_tokens(observed.forced, expected, checks)
        if failed:
            with self.making(f"around the worst element, {case}"):
                self._keep_window(failed[0].tap, observed.forced, expected)
            with self.making(f"the whole of {failed[0].tap}, {case}"):
                self._keep_whole(failed[0].tap, observed.forced, expected)
        if expected.free and expected.torch_free:
            with self.making(f"logits, {case}"):
                self._keep_logits(observed.logits, expected)

    def look_inside(
        self,
        candidate: BoundCandidate,
        references: References,
        text: Array | None,
        ids: Array,
        device: str,
    ) -> None:
        """Keep attention, the residual stream and next-token probabilities, for both models.

        Args:
            candidate: the model under test.
            references: PyTorch and the oracle.
            text: token ids of a text; None where the checkpoint has no tokenizer.
            ids: token ids to use where there is no text, `[batch, sequence]`.
            device: names the arrays.
        """
        with self.making(f"inside the model, {device}"):
            self._look_inside(candidate, references, text, ids, device)

    def _look_inside(
        self,
        candidate: BoundCandidate,
        references: References,
        text: Array | None,
        ids: Array,
        device: str,
    ) -> None:
        config = references.checkpoint.config
        length = _shown_length(config.n_layer * config.n_head, config.n_positions)
        prompt = (ids[0] if text is None else text)[: max(1, length - CONTINUED)][None]
        row = _continued(references, prompt, length)
        logits, trace = candidate.trace(row)
        torch_trace = references.torch.trace(row)
        truth = references.oracle.trace(row)[LOGITS]
        found = _probabilities({"candidate": logits, "torch": torch_trace[LOGITS], "oracle": truth})
        for name, one in (("candidate", trace), ("torch", torch_trace)):
            found |= _residual(name, one, config.n_layer)
            found |= _attention(name, one, config.n_layer, config.n_head)
        text_of = _reader(references.checkpoint, text is not None)
        found |= {"ids": row[0], "prompt": np.array(prompt.shape[1]), "tokens": text_of(row[0])}
        found |= {
            name.replace("_ids", "_tokens"): text_of(found[name])
            for name in ("top_ids", "first_ids_candidate", "first_ids_torch")
        }
        self.arrays |= {f"{device}/inside/{name}": array for name, array in found.items()}

    def save(self, folder: Path, divergence: str | None = None, place: str | None = None) -> None:
        """Write the arrays; nothing where there are none.

        Args:
            folder: of the run.
            divergence: the case of the first divergence; of other failing cases the tokens' errors
                are left out.
            place: of the first divergence; of other places the whole tensors are left out.
        """
        cases = {*self.shown, divergence}
        kept = {
            path: array
            for path, array in self.arrays.items()
            if ("/tokens/" not in path or path.partition("/")[0] in cases)
            and ("/whole/" not in path or f"/whole/{place}/" in path)
        }
        if kept:
            with self.making(FILE):
                np.savez_compressed(folder / FILE, allow_pickle=False, **kept)

    def _keep_tokens(self, forced: Trace, expected: Expectation, checks: Sequence[Check]) -> None:
        """`used` of each place, shared out over its tokens by their part of the error.

        The root mean square of a place's row (over all tokens) is the place's own `used`. A place
        that has one row for the whole batch, as positions have, stands for each row of it.
        """
        case, truth = expected.case, expected.isolated
        rows: dict[str, Array] = {}
        for check in checks:
            if check.mode != "isolated" or check.used is None or check.rms is None:
                continue
            if check.rms and truth[check.tap].ndim == 3:
                error = forced[check.tap] - truth[check.tap]
                by_token = np.sqrt((error**2).mean(axis=-1)) / check.rms  # [batch or 1, sequence]
                used = np.broadcast_to(check.used * by_token, case.ids.shape).ravel()
                rows[check.tap] = used[:TOKENS].astype(np.float32)
        if rows:
            self.arrays[f"{case.name}/tokens/taps"] = np.array(list(rows))
            self.arrays[f"{case.name}/tokens/used"] = np.stack(list(rows.values()))
            self.arrays[f"{case.name}/tokens/ids"] = case.ids.ravel()[:TOKENS]

    def _keep_window(self, tap: str, forced: Trace, expected: Expectation) -> None:
        """What lies around the worst element of a place that fails."""
        found, truth = forced[tap], expected.isolated[tap]
        if found.shape != truth.shape or found.ndim != 3:
            return
        distance = np.nan_to_num(np.abs(found - truth), nan=np.inf, posinf=np.inf)
        worst = np.unravel_index(int(distance.argmax()), distance.shape)
        first = [max(0, int(worst[1]) - ROWS), max(0, int(worst[2]) - COLUMNS)]
        part = np.s_[
            worst[0], first[0] : int(worst[1]) + ROWS + 1, first[1] : int(worst[2]) + COLUMNS + 1
        ]
        path = f"{expected.case.name}/window/{tap}"
        self.arrays[f"{path}/worst"] = np.array(worst)
        self.arrays[f"{path}/first"] = np.array(first)
        shown = {"candidate": found, "oracle": truth}
        if expected.torch_isolated:  # it takes no part where the graph is evaluated in float64
            shown["torch"] = expected.torch_isolated[tap]
        for name, array in shown.items():
            self.arrays[f"{path}/{name}"] = array[part].astype(np.float64)

    def _keep_whole(self, tap: str, forced: Trace, expected: Expectation) -> None:
        """All of a place that fails, in the case that has most tokens."""
        found, truth = forced[tap], expected.isolated[tap]
        if found.shape != truth.shape or found.ndim != 3 or not self._has_most(tap, found):
            return
        config = getattr(expected.oracle, "config", None) or expected.oracle.model.config
        envelope, heads = expected.isolated_envelope[tap], heads_at(tap, config)
        pictures = pictured(found, truth, envelope, expected.dtype, heads)
        path = f"{expected.case.name}/whole/{tap}"
        self.arrays |= {f"{path}/{name}": array for name, array in pictures.items()}

    def _has_most(self, tap: str, found: Array) -> bool:
        """Whether no case of a place that is kept has as many tokens; one with fewer is dropped."""
        for path in [path for path in self.arrays if path.endswith(f"/whole/{tap}/shape")]:
            if np.prod(self.arrays[path][:2]) >= np.prod(found.shape[:2]):
                return False
            start = path.removesuffix("shape")
            self.arrays = {p: one for p, one in self.arrays.items() if not p.startswith(start)}
        return True

    def _keep_logits(self, logits: Array, expected: Expectation) -> None:
        """For each position: divergence from the oracle, its lead, and the error of the logits."""
        truth, torch_logits = expected.free[expected.head], expected.torch_free[expected.head]
        if logits.shape != truth.shape or not np.isfinite(logits).all():
            return
        second, first = np.partition(truth, -2, axis=-1)[..., -2:].reshape(-1, 2).T
        flipped = truth.argmax(axis=-1) != logits.argmax(axis=-1)
        path = f"{expected.case.name}/logits"
        self.arrays[f"{path}/kl_nats"] = _flat(kl_divergence(truth, logits))
        self.arrays[f"{path}/torch_kl_nats"] = _flat(kl_divergence(truth, torch_logits))
        self.arrays[f"{path}/lead"] = _flat(first - second)
        self.arrays[f"{path}/error"] = _flat(np.abs(logits - truth).max(axis=-1))
        self.arrays[f"{path}/flipped"] = flipped.ravel()


def _flat(array: Array) -> Array:
    return array.ravel().astype(np.float32)


def _shown_length(heads: int, n_positions: int) -> int:
    """How many tokens to look at: fewer for a model of many heads."""
    return max(2, min(PROMPT + CONTINUED, n_positions, int((ATTENTION_CELLS / heads) ** 0.5)))


def _continued(references: References, prompt: Array, length: int) -> Array:
    """The prompt and the reference's greedy continuation, up to `length` tokens."""
    row = prompt
    while row.shape[1] < length:
        following = references.torch.logits(row)[:, -1].argmax(axis=-1)
        row = np.concatenate([row, following[:, None].astype(np.int64)], axis=1)
    return row


def _probabilities(logits: dict[str, Array]) -> Trace:
    """Probabilities of the oracle's best tokens and of the next one, for each model `[S, TOP]`."""
    truth = logits["oracle"][0]
    count = min(TOP, truth.shape[-1])
    best = np.argsort(-truth, axis=-1)[:, :count]
    found: Trace = {"top_ids": best}
    for name, values in logits.items():
        wide = values[0].astype(np.float64)
        weights = np.exp(wide - wide.max(axis=-1, keepdims=True))
        shares = weights / weights.sum(axis=-1, keepdims=True)
        found[f"top_{name}"] = np.take_along_axis(shares, best, axis=-1)
        found[f"first_ids_{name}"] = wide.argmax(axis=-1)
    return found


def _residual(name: str, trace: Trace, layers: int) -> Trace:
    """Root mean square of the residual stream, for each depth and token `[layers + 1, S]`."""
    taps = [f"transformer.h.{layer}{INPUT}" for layer in range(layers)]
    taps.append(f"transformer.ln_f{INPUT}")
    if not all(tap in trace for tap in taps):
        return {}
    sizes = [np.sqrt((trace[tap][0].astype(np.float64) ** 2).mean(axis=-1)) for tap in taps]
    return {f"residual_{name}": np.stack(sizes)}


def _attention(name: str, trace: Trace, layers: int, heads: int) -> Trace:
    """softmax(q k^T / sqrt(K)) below the diagonal, from c_attn `[layers, heads, S, S]`."""
    taps = [f"transformer.h.{layer}.attn.c_attn" for layer in range(layers)]
    if not all(tap in trace for tap in taps):
        return {}
    maps = [_attention_of(trace[tap][0].astype(np.float64), heads) for tap in taps]
    return {f"attention_{name}": np.stack(maps).astype(np.float32)}


def _attention_of(fused: Array, heads: int) -> Array:
    query, key, _ = np.split(fused, 3, axis=-1)  # [S, D] each
    query, key = (part.reshape(len(part), heads, -1).swapaxes(0, 1) for part in (query, key))
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])  # [H, S, S]
    scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Array = weights / weights.sum(axis=-1, keepdims=True)
    return result


def _reader(checkpoint: Checkpoint, readable: bool) -> Callable[[Array], Array]:
    """Turns ids into what each stands for; into their numbers where there is no tokenizer."""
    if not readable or checkpoint.folder is None:
        return lambda ids: ids.astype(str)
    tokenizer = Tokenizer.load(checkpoint.folder, model_vocab_size=checkpoint.config.vocab_size)

    def texts(ids: Array) -> Array:
        return np.array([tokenizer.decode([int(one)]) for one in ids.ravel()]).reshape(ids.shape)

    return texts
