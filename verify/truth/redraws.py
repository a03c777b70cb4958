"""More draws of a stage's error, where one token's row carries most of it.

Where a softmax nearly ties, the rounding of a single score decides the error of the whole stage:
one number, of which every evaluation order draws one value. The worst of five values of a normal
number falls short too often, so the stage is evaluated again on copies of the input, moved so
little that the tie stays one, and enough that every rounding is drawn again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reference.taps import INPUT, block_of
from verify.truth.envelope import DRAWS, ROW_SHARE, Sample, extents, moved, row_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from reference.oracle import Oracle
    from reference.trace import Array
    from verify.judge.acceptance import Envelope


def redraws(
    sample: Sample,
    truth: Mapping[str, Array],
    evaluations: Sequence[Mapping[str, Array]],
    oracle: Oracle,
    models: Sequence[Oracle | None],
    seed: int,
    dtype: npt.DTypeLike = np.float32,
) -> dict[str, list[list[Envelope]]]:
    """Draw the errors of dominated stages again.

    Args:
        sample: what was evaluated.
        truth: its forced trace by the float64 oracle.
        evaluations: its forced traces in the candidate's precision.
        oracle: the float64 model.
        models: what computed each evaluation, None where it cannot be asked for a part.
        seed: moves the copies.
        dtype: of the candidate.

    Returns:
        By tap, for each evaluation, the extent of its error on each further copy.
    """
    if sample.copies >= DRAWS:
        return {}
    taps = _dominated(sample, truth, evaluations)
    found: dict[str, list[list[Envelope]]] = {tap: [[] for _ in models] for tap in taps}
    rng = np.random.default_rng([seed, DRAWS])
    for part in dict.fromkeys(_part(tap) for tap in taps):
        wanted = [tap for tap in taps if _part(tap) == part]
        for _ in range(0, DRAWS, sample.copies):
            copies, x = _copies(sample, truth[part + INPUT], part, dtype, rng)
            right = oracle.part_trace(part, x, copies.given, wanted)
            for index, model in enumerate(models):
                if model is not None:
                    trace = model.part_trace(part, x, copies.given, wanted)
                    for tap in wanted:
                        found[tap][index] += extents(trace[tap] - right[tap], copies)
    return found


def _dominated(
    sample: Sample, truth: Mapping[str, Array], evaluations: Sequence[Mapping[str, Array]]
) -> list[str]:
    """Taps inside blocks where a row of the input carries more than `ROW_SHARE` of an error."""
    original = [sample.original(trace) for trace in evaluations]
    return [
        tap
        for tap, array in sample.original(truth).items()
        if block_of(tap)
        and any(row_share(trace[tap].astype(np.float64) - array) > ROW_SHARE for trace in original)
    ]


def _part(tap: str) -> str:
    """The smallest part of the model that computes a tap."""
    block = block_of(tap)
    if not block:
        raise ValueError(f"{tap} is not in a block")
    return next((p for p in (f"{block}.attn", f"{block}.mlp") if tap.startswith(f"{p}.")), block)


def _copies(
    sample: Sample, x: Array, part: str, dtype: npt.DTypeLike, rng: np.random.Generator
) -> tuple[Sample, Array]:
    """As many copies of the input as the sample has, moved: the given activations, and x.

    They move by `LEAST_MOVE` unit roundoffs. Scores move by about as much as their own rounding
    errors, so that near-ties remain near-ties.
    """
    batch = len(sample.ids) // sample.copies

    def repeated(array: Array) -> Array:
        return moved(np.concatenate([array[:batch]] * sample.copies), rng)

    inside = {tap: repeated(a) for tap, a in sample.given.items() if tap.startswith(f"{part}.")}
    ids = np.tile(sample.ids[:batch], (sample.copies, 1))
    return Sample(sample.copies, ids, inside), repeated(x.astype(dtype))
