"""Parity of the engine: logits computed with a cache are those of the whole sequence.

Three ways to read the same tokens, each judged as a free run of the model is, by the oracle's
logits and the envelope of the same case:

- `decode`: one token at a time, every depth compared
- `chunked`: in parts of growing size; how far that is from decoding is measured, too: kernels in
  tiles have other sums for a token alone
- `batched`: rows begin with parts of different lengths, and then go on token by token

What the rule would notice is shown by the same oracle with a cache of its own
(`verify.faults.cache`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.engine import DTYPES, KERNELS, Engine
from impl.packing import PRODUCTS, cache_of, held_state, weights_of
from reference.taps import LOGITS
from verify.checks.stages import array_check
from verify.faults.cache import FAULTS, CachedOracle, lagging_rows, read_in_parts
from verify.faults.power import fault_check
from verify.faults.sighting import Sighting, margin_of
from verify.judge.acceptance import judge
from verify.judge.metrics import kl_divergence, rms
from verify.judge.verdict import Check
from verify.truth import bfloat16_products
from verify.truth.expectation import Standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from impl.config import GPT2Config
    from reference.checkpoint import Checkpoint
    from reference.trace import Array
    from verify.faults.cache import CacheFault
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One engine to verify.

    Attributes:
        kernels: `auto`, `mojo`, `mojo-avx2`, `stock`, as `impl.engine.Engine` takes them.
        dtype: one of `impl.engine.DTYPES`.
    """

    kernels: str = "auto"
    dtype: str = "float32"

    def __str__(self) -> str:
        """As it is asked for: `mojo:bfloat16`."""
        return self.kernels if self.dtype == "float32" else f"{self.kernels}:{self.dtype}"

    @classmethod
    def parse(cls, text: str) -> EngineSpec:
        """Read what `str` writes.

        Raises:
            ValueError: for kernels or a dtype that are not there.
        """
        kernels, _, dtype = text.partition(":")
        form = cls(kernels=kernels, dtype=dtype or "float32")
        if form.kernels not in KERNELS or form.dtype not in DTYPES:
            raise ValueError(f"{text!r} is not an engine")
        return form

    @property
    def products(self) -> str:
        """What its products compute in where that is coarser than float32: `bfloat16`."""
        return weights_of(self.dtype) if self.dtype.endswith(PRODUCTS) else ""

    @property
    def kept(self) -> str:
        """What keys and values are kept in where that is coarser than float32: `bfloat16`."""
        kept = cache_of(self.dtype)
        return "" if kept == "float32" else kept

    def held(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint as the engine holds it: what its sums are judged on."""
        return replace(checkpoint, weights=held_state(checkpoint.weights, self.dtype))


def engine_checks(
    form: EngineSpec, checkpoint: Checkpoint, expected: Expectation
) -> Iterator[Check]:
    """Read one case's tokens in every way, and compare the logits of every position.

    Args:
        form: which engine.
        checkpoint: configuration and weights, which the engine rounds itself.
        expected: of the model with the rounded weights.
    """
    case = expected.case
    batch, options = len(case.ids), {"dtype": form.dtype, "kernels": form.kernels}
    engine = Engine(checkpoint.config, checkpoint.weights, case.device, batch=batch, **options)
    decoded: Array | None = None
    for name, read in WAYS.items():
        if name == "batched" and (batch == 1 or case.ids.shape[1] < 2 * batch):
            continue
        engine.reset()
        rows, positions, found = read(engine, case.ids)
        whole = expected.at(LOGITS, alone=False)
        read_there = Standard(
            whole.truth[rows, positions],
            None if whole.torch is None else whole.torch[rows, positions],
            whole.envelope,
        )
        check = array_check(case, "engine", LOGITS, found, read_there, "float32")
        shape = (*case.ids.shape, found.shape[-1])
        details: dict[str, Any] = {
            "way": name, "engine": str(form), "path": engine.kernel_path,
        }  # fmt: skip
        if name == "chunked" and decoded is not None:
            details["from_decode"] = rms(found - decoded) / rms(decoded)
        decoded = found if name == "decode" else decoded
        yield replace(check, case=f"{case.name}-{form}-{name}", shape=shape, details=details)


def quality_check(
    form: EngineSpec, checkpoint: Checkpoint, truth: Expectation, held: Expectation
) -> Check:
    """What rounding costs: exact logits with rounded weights against exact weights'.

    Where products are of bfloat16, activations are rounded too, and with a cache of it keys and
    values. A figure without a verdict: how much is too much is the user's to say.
    """
    exact, rounded = truth.free[LOGITS], held.free[LOGITS]
    if form.products:
        held_weights = form.held(checkpoint)
        model = bfloat16_products.evaluations(held_weights, kept=bool(form.kept))[0]
        rounded = model.trace(truth.case.ids)[LOGITS]
    divergence = kl_divergence(exact, rounded)
    details = {
        "engine": str(form),
        "kl_mean": float(divergence.mean()),
        "kl_max": float(divergence.max()),
        "top1_flips": int((exact.argmax(axis=-1) != rounded.argmax(axis=-1)).sum()),
        "positions": int(divergence.size),
    }
    return Check(
        case=f"{truth.case.name}-{form}", mode="engine-quality", tap=LOGITS, verdict="PASS",
        shape=exact.shape, dtype=form.dtype, details=details,
    )  # fmt: skip


Read = tuple["Array", "Array", "Array"]
"""Rows, positions, and the logits found there: `[n]`, `[n]`, `[n, vocab_size]`."""


def _decode(engine: Engine, ids: Array) -> Read:
    columns = range(ids.shape[1])
    return _places(np.stack([engine.decode(ids[:, at]) for at in columns], axis=1))


def _chunked(engine: Engine, ids: Array) -> Read:
    cuts = [cut for cut in (1, 3, 8, 21, 54, 141, 368) if cut < ids.shape[1]]
    parts = np.split(ids, cuts, axis=1)
    return _places(np.concatenate([engine.prefill(part, logits="all") for part in parts], axis=1))


def _batched(engine: Engine, ids: Array) -> Read:
    """Each row is two tokens shorter than the one before; all go on until the first is through."""
    every, lengths = np.arange(len(ids)), lagging_rows(ids) - 2
    first = engine.prefill(ids[:, : lengths.max()], lengths, logits="all")
    found = [(row, at, first[row, at]) for row in every for at in range(lengths[row])]
    for step in range(2):
        logits = engine.decode(ids[every, lengths + step])
        found += [(row, lengths[row] + step, logits[row]) for row in every]
    rows, positions, values = zip(*found, strict=True)
    return np.array(rows), np.array(positions), np.stack(values)


def _places(logits: Array) -> Read:
    """Of every position in turn."""
    rows, positions = np.indices(logits.shape[:2]).reshape(2, -1)
    return rows, positions, logits.reshape(-1, logits.shape[-1])


WAYS: dict[str, Callable[[Engine, Array], Read]] = {
    "decode": _decode,
    "chunked": _chunked,
    "batched": _batched,
}


def cache_fault_checks(expected: Expectation, wide: Expectation) -> Iterator[Check]:
    """The oracle with a cache, sound and with each fault, judged as an engine is.

    Args:
        expected: what engines are compared with on the case.
        wide: the same in float64, which the sound oracle is compared with.
    """
    case = expected.case
    sound = read_in_parts(CachedOracle(expected.oracle), case.ids)
    judgement = judge(sound, wide.free[LOGITS], wide.free_envelope[LOGITS], "float64")
    agreed = judgement.verdict == "PASS"
    yield Check(
        case=f"{case.name}-cache",
        mode="oracle",
        tap=LOGITS,
        verdict="PASS" if agreed else "ERROR",
        dtype="float64",
        used=judgement.used,
        relative=judgement.errors.relative if judgement.errors else None,
        message="" if agreed else f"the oracle's cache changes its logits: {judgement.message}",
    )
    for fault in FAULTS:
        yield _fault_check(fault, expected)


def _fault_check(fault: CacheFault, expected: Expectation) -> Check:
    found = read_in_parts(fault.planted(expected.oracle), expected.case.ids).astype(np.float32)
    envelope = expected.free_envelope[LOGITS]
    judgement = judge(found, expected.free[LOGITS], envelope, "float32")
    blamed = LOGITS if judgement.verdict == "FAIL" else None
    sighting = Sighting(fault.id, LOGITS, blamed, margin_of(judgement), applicable=True)
    return fault_check(sighting, fault, mode="engine-power", case=expected.case.name)


def worth_reading(config: GPT2Config, cases: Sequence[Case]) -> set[str]:
    """Names of the cases that engines read: the telling ones, or the largest where none is.

    Telling is a batch with a mask's edge, or a full context.
    """
    telling = {case.name for case in cases if _is_telling(config, case)}
    return telling or {max(cases, key=lambda case: case.ids.size).name}


def _is_telling(config: GPT2Config, case: Case) -> bool:
    batch, length = case.ids.shape
    return case.ids.shape == (2, min(33, config.n_positions)) or (
        batch == 1 and length == config.n_positions
    )
