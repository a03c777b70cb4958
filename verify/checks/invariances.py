"""Checks that need no oracle: what a change of the input may change, and what it may not.

One position's logits depend on the tokens up to it, and on nothing else: not on later tokens, other
rows, the row's place in the batch, the length, or earlier calls. Within one shape this holds bit
for bit. Between shapes a kernel may sum in another order, and the caller says how much that may be.

A difference passes if it is `<=` what is allowed, so that NaN fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from impl.runtime import InputError, check_ids
from reference.taps import LOGITS
from verify.judge.verdict import Check
from verify.truth.cases import LARGE_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impl.config import GPT2Config
    from reference.trace import Array

LENGTH = 33
"""One more than a tile of 32, so that a tile's edge lies inside."""

SHORT_LENGTHS = (1, 2, 8, 9, 32)
"""Prefixes of `LENGTH` tokens: a single token, and around tiles of 8 and of 32."""

ROWS = 10
ROW_LENGTH = 9
"""A batch beyond 9 rows (coremltools#2650: rows of a larger batch left unwritten)."""

TOKEN_TAP, POSITION_TAP = "transformer.wte", "transformer.wpe"


class HasLogits(Protocol):
    """Token ids `[batch, sequence]` in, logits `[batch, sequence, vocab_size]` out."""

    def logits(self, ids: Array) -> Array:
        """Logits of every position."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A candidate, and what its checks have in common.

    Attributes:
        candidate: the model under test, with its weights.
        config: the model's sizes.
        prefix: what the names of the cases begin with: `stress-`, `gpu-given-`.
        seed: draws the token ids.
        allowed: largest difference between two shapes' logits of the same position.
        dtype: the precision that the candidate declares.
    """

    candidate: HasLogits
    config: GPT2Config
    prefix: str
    seed: int
    allowed: float
    dtype: str

    def ids(self, batch: int, length: int, draw: int = 0) -> Array:
        """Random ids; `length` is cut to the model's positions."""
        length = min(length, self.config.n_positions)
        rng = np.random.default_rng([self.seed, batch, length, draw])
        return rng.integers(0, self.config.vocab_size, (batch, length), dtype=np.int64)

    def logits(self, ids: Array) -> Array:
        """The candidate's logits, in a copy that no later call can change."""
        return np.array(self.candidate.logits(ids), copy=True)

    def check(
        self,
        name: str,
        message: str,
        *,
        tap: str = LOGITS,
        difference: float | None = None,
        allowed: float = 0.0,
        shape: tuple[int, ...] | None = None,
        **details: Any,
    ) -> Check:
        """A check that fails if there is a message."""
        return Check(
            case=f"{self.prefix}{name}",
            mode="metamorphic",
            tap=tap,
            verdict="FAIL" if message else "PASS",
            shape=shape,
            dtype=self.dtype,
            max_abs=difference,
            used=difference / allowed if difference is not None and allowed else None,
            message=message,
            details=details if difference is None else {"allowed": allowed, **details},
        )

    def compared(
        self, name: str, what: str, differences: Sequence[float], allowed: float, ids: Array
    ) -> Check:
        """A check that fails if the largest difference is more than allowed."""
        largest = float(np.max(differences))
        message = "" if largest <= allowed else f"{what} changes a logit by {largest:.2e}"
        return self.check(
            name, message, difference=largest, allowed=allowed, shape=ids.shape,
            comparisons=len(differences),
        )  # fmt: skip


def metamorphic_checks(
    candidate: HasLogits,
    config: GPT2Config,
    *,
    regime: str,
    device: str,
    seed: int,
    allowed: float = 0.0,
    dtype: str = "float32",
) -> Iterator[Check]:
    """Every check of this module; a candidate that raises fails the check at hand.

    Args:
        candidate: the model under test, with its weights; its plain graph is called.
        config: the model's sizes.
        regime: state of the weights, for the names of the cases.
        device: `cpu`, `gpu` or `gpu:N`, for the same.
        seed: draws the token ids.
        allowed: largest difference between the logits of one position in two shapes, or in two
            rows of a batch; 0 demands equal bits. Equal bits are always demanded in one row of one
            shape.
        dtype: the precision that the candidate declares.
    """
    prefix = f"{regime}-" if device == "cpu" else f"{device}-{regime}-"
    subject = Probed(
        candidate=candidate, config=config, prefix=prefix, seed=seed, allowed=allowed, dtype=dtype
    )
    for name, make in CHECKS.items():
        try:
            yield make(subject, name)
        except Exception as error:  # MAX raises what it likes, and the other checks go on
            yield subject.check(name, f"the candidate raised {type(error).__name__}: {error}")


def difference(found: Array, expected: Array) -> float:
    """Largest distance; infinite between different shapes, NaN where one is."""
    if found.shape != expected.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))


def _causality(subject: Probed, name: str) -> Check:
    """Changing token t leaves logits before t as they were, bit for bit, and changes those at t."""
    ids = subject.ids(1, LENGTH)
    length = ids.shape[1]
    before = subject.logits(ids)
    leaks: list[float] = []
    changes: list[float] = []
    positions = sorted({0, 1, length // 2, length - 2, length - 1} & set(range(length)))
    for position in positions:
        changed = ids.copy()
        changed[0, position] = (ids[0, position] + 1) % subject.config.vocab_size
        after = subject.logits(changed)
        leaks.append(difference(after[:, :position], before[:, :position]))
        changes.append(difference(after[:, position], before[:, position]))
    return subject.check(
        name, _causality_message(positions, leaks, changes), difference=float(np.max(leaks)),
        shape=ids.shape, positions=positions, least_change=float(np.min(changes)),
    )  # fmt: skip


def _causality_message(positions: list[int], leaks: list[float], changes: list[float]) -> str:
    for position, leak, change in zip(positions, leaks, changes, strict=True):
        if not leak <= 0:
            return f"a change of token {position} changes a logit before it by {leak:.2e}"
        if not change > 0:
            return f"a change of token {position} changes no logit there"
    return ""


def _token_0(subject: Probed, name: str) -> Check:
    """Rows that begin with one token have the same first logits, however they go on."""
    ids = subject.ids(ROWS, ROW_LENGTH)
    ids[:, 0] = ids[0, 0]
    first = subject.logits(ids)[:, 0]
    differences = [difference(row, first[0]) for row in first[1:]]
    what = "what follows the first token"
    return subject.compared(name, what, differences, subject.allowed, ids)


def _batch(subject: Probed, name: str) -> Check:
    """A row alone has the logits that it has in a batch."""
    ids = subject.ids(ROWS, ROW_LENGTH)
    together = subject.logits(ids)
    differences = [
        difference(subject.logits(ids[row : row + 1]), together[row : row + 1])
        for row in range(ROWS)
    ]
    return subject.compared(name, "being in a batch", differences, subject.allowed, ids)


def _permutation(subject: Probed, name: str) -> Check:
    """Rows in another order have their logits in that order; no row keeps its place."""
    ids = subject.ids(ROWS, ROW_LENGTH)
    turned = subject.logits(ids[::-1])[::-1]
    what = "another order of the rows"
    return subject.compared(
        name, what, [difference(turned, subject.logits(ids))], subject.allowed, ids
    )


def _prefix(subject: Probed, name: str) -> Check:
    """The first logits of a text do not depend on how many tokens follow."""
    ids = subject.ids(1, LENGTH)
    whole = subject.logits(ids)
    differences = [
        difference(subject.logits(ids[:, :length]), whole[:, :length])
        for length in _short_lengths(ids)
    ]
    return subject.compared(name, "what follows a prefix", differences, subject.allowed, ids)


def _right_padding(subject: Probed, name: str) -> Check:
    """Texts of different lengths, padded to a batch, keep their logits.

    Padded with the vocabulary's last token, as GPT-2's usually are.
    """
    ids = subject.ids(1, LENGTH)
    lengths = _short_lengths(ids)
    padded = np.repeat(ids, len(lengths), axis=0)
    for row, length in enumerate(lengths):
        padded[row, length:] = subject.config.vocab_size - 1
    together = subject.logits(padded)
    differences = [
        difference(together[row : row + 1, :length], subject.logits(ids[:, :length]))
        for row, length in enumerate(lengths)
    ]
    return subject.compared(name, "padding on the right", differences, subject.allowed, padded)


def _short_lengths(ids: Array) -> list[int]:
    """Lengths of prefixes; all of it where the model has a single position."""
    return [n for n in SHORT_LENGTHS if n < ids.shape[1]] or [ids.shape[1]]


def _repeatability(subject: Probed, name: str) -> Check:
    """The same call twice gives the same bits."""
    ids = subject.ids(2, LENGTH)
    differences = [difference(subject.logits(ids), subject.logits(ids))]
    return subject.compared(name, "a second call", differences, 0.0, ids)


def _no_trace(subject: Probed, name: str) -> Check:
    """Calls with other inputs change neither a later result nor one that was handed out."""
    ids = subject.ids(2, ROW_LENGTH)
    subject.logits(ids)  # so that nothing else comes before the call that counts
    handed_out = subject.candidate.logits(ids)
    before = np.array(handed_out, copy=True)
    other = subject.logits(subject.ids(2, ROW_LENGTH, draw=1))
    subject.logits(subject.ids(2, LENGTH, draw=2))
    overwritten = difference(handed_out, before)
    changed = difference(subject.logits(ids), before)
    if not difference(other, before) > 0:
        return subject.check(name, "another input has the same logits", shape=ids.shape)
    return subject.compared(name, "a call in between", [overwritten, changed], 0.0, ids)


def _shortest(subject: Probed, name: str) -> Check:
    """One token in one row."""
    return _runs(subject, name, subject.ids(1, 1), POSITION_TAP)


def _longest(subject: Probed, name: str) -> Check:
    """As many tokens as the model has positions; not for models where that takes long."""
    config = subject.config
    if config.parameter_count > LARGE_PARAMETERS:
        reason = (
            f"{config.n_positions} tokens take long with "
            f"{config.parameter_count // 1_000_000} million parameters"
        )
        return Check(
            case=f"{subject.prefix}{name}", mode="metamorphic", tap=POSITION_TAP,
            verdict="SKIP", message=reason,
        )  # fmt: skip
    return _runs(subject, name, subject.ids(1, config.n_positions), POSITION_TAP)


def _runs(subject: Probed, name: str, ids: Array, tap: str) -> Check:
    """Finite logits of the right shape and dtype."""
    logits = subject.logits(ids)
    message = _not_logits(subject, logits, ids)
    return subject.check(name, message, tap=tap, shape=ids.shape)


def _not_logits(subject: Probed, logits: Array, ids: Array) -> str:
    """Why these cannot be the logits of `ids`; empty if they can."""
    if logits.shape != (*ids.shape, subject.config.vocab_size):
        return f"ids of shape {list(ids.shape)} have logits of shape {list(logits.shape)}"
    if logits.dtype != np.dtype(subject.dtype):
        return f"the logits are {logits.dtype}, but {subject.dtype} was declared"
    return "" if np.isfinite(logits).all() else "logits that are not finite"


def _edge_ids(subject: Probed, name: str) -> Check:
    """The vocabulary's ends work, and are not mistaken for their neighbours."""
    last = subject.config.vocab_size - 1
    ids = np.array([sorted({0, min(1, last), max(0, last - 1), last})], np.int64).T
    logits = subject.logits(ids)
    message = _not_logits(subject, logits, ids)
    if not message and len(np.unique(logits[:, 0].astype(np.float64), axis=0)) < len(ids):
        message = f"two of the tokens {ids[:, 0].tolist()} have the same logits"
    return subject.check(name, message, tap=TOKEN_TAP, shape=ids.shape, ids=ids[:, 0].tolist())


def _refused_shapes(subject: Probed, name: str) -> Check:
    """Too many tokens, no token and no row are clear errors before MAX sees them."""
    shapes = ((1, subject.config.n_positions + 1), (1, 0), (0, 1))
    inputs = {f"shape {list(shape)}": np.zeros(shape, np.int64) for shape in shapes}
    return _refusals(subject, name, inputs, POSITION_TAP)


def _refused_ids(subject: Probed, name: str) -> Check:
    """Ids outside the vocabulary are clear errors; MAX itself wraps ids in [-vocab_size, -1]."""
    size = subject.config.vocab_size
    inputs = {f"token id {wrong}": np.array([[0, wrong]]) for wrong in (size, -1, -size)}
    return _refusals(subject, name, inputs, TOKEN_TAP)


def _refusals(subject: Probed, name: str, inputs: dict[str, Array], tap: str) -> Check:
    accepted = [what for what, ids in inputs.items() if not _is_refused(subject.config, ids)]
    message = f"{', '.join(accepted)}: not refused" if accepted else ""
    return subject.check(name, message, tap=tap, inputs=list(inputs))


def _is_refused(config: GPT2Config, ids: Array) -> bool:
    try:
        check_ids(config, ids)
    except InputError as error:
        return bool(str(error))
    return False


CHECKS: dict[str, Callable[[Probed, str], Check]] = {
    "causality": _causality,
    "token-0": _token_0,
    "batch": _batch,
    "permutation": _permutation,
    "prefix": _prefix,
    "right-padding": _right_padding,
    "repeatability": _repeatability,
    "no-trace": _no_trace,
    "shortest": _shortest,
    "longest": _longest,
    "edge-ids": _edge_ids,
    "refused-shapes": _refused_shapes,
    "refused-ids": _refused_ids,
}
"""What makes each check, by the name that its case ends with."""
