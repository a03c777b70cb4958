"""A tiny model with one configuration after another, in transformers and in a package.

A package that ignores a field is wrong on a model where no field has its usual value. `repaired`
finds the fields that it ignores: those that, put back to usual values, make it right.
"""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.decoder import in_float64, load_decoder
from verify.graph.errors import GraphError
from verify.package.reading.drawn import VOCABULARY, write
from verify.package.reading.fields import at, changes, fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reference.trace import Array
    from verify.package.opening.subject import Package
    from verify.package.reading.fields import Path as Names

LENGTHS = (9, 23)
"""Tokens of the requests of a ragged batch, one of them longer than any length of a tiny model."""

SAME = 1e-6
"""Relative difference up to which a package computes the same. It is 1e-15 where every table is
computed in float64; a table that a package rounds to float32 leaves 1e-8 to 1e-7."""

REPAIRS = {r"eps": (1e-6, 1e-5, 1e-8), r"theta": (10000.0,), r"factor": (1.0,), r"window": (None,),
           r"rope_type": ("default",)}  # fmt: skip
"""Values that packages take for granted, besides transformers' defaults."""

MOST_REPAIRS = 4
"""Fields that are put back at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What transformers and the package make of a configuration.

    Attributes:
        truth: transformers' logits in float64, `[tokens, vocab_size]`.
        found: the package's; None where it raised.
        error: what it raised.
    """

    truth: Array
    found: Array | None
    error: Exception | None = None

    @property
    def difference(self) -> float:
        """Between both, relative to the largest logit; infinite where there is none."""
        return relative(self.found, self.truth) if self.found is not None else float("inf")


class Variants:
    """Configurations of an architecture, each written once.

    Args:
        package: that is compared with transformers.
        config: the tiny one; its kind and the names of its architectures are used.
        seed: of the weights and the tokens.
        place: a folder for checkpoints.
    """

    def __init__(self, package: Package, config: Any, seed: int, place: Path) -> None:
        self.package = package
        self.config = config
        self.seed = seed
        self.place = place
        self.names = itertools.count()
        generator = np.random.default_rng(seed)
        self.batch = [generator.integers(0, VOCABULARY, length).tolist() for length in LENGTHS]

    def written(self, values: Mapping[str, Any]) -> Path:
        """A folder with this configuration; raises what transformers does where it takes it not."""
        folder = self.place / str(next(self.names))
        config = type(self.config).from_dict(dict(values))
        config.architectures = self.config.architectures
        write(config, folder, seed=self.seed, dtype=self.package.encoding or "float32")
        return folder

    def truth(self, folder: Path) -> Array:
        """What transformers' model computes."""
        decoder = in_float64(load_decoder(str(folder)))
        return np.concatenate([decoder.logits(np.array([ids]))[0] for ids in self.batch])

    def seen(self, folder: Path, truth: Array) -> Seen:
        """What the package makes of a folder.

        Raises:
            GraphError: where its graph cannot be evaluated.
        """
        try:
            return Seen(truth, self.package.logits(folder, self.batch))
        except GraphError:
            raise
        except Exception as error:  # whatever a package raises is its answer
            return Seen(truth, None, error)

    def both(self, values: Mapping[str, Any]) -> Seen:
        """What both make of a configuration."""
        folder = self.written(values)
        return self.seen(folder, self.truth(folder))

    def maybe(self, values: Mapping[str, Any]) -> Seen | None:
        """What both make of a configuration; None where one of them cannot be told."""
        try:
            return self.both(values)
        except Exception:  # it is one of many
            return None


def repaired(
    variants: Variants, values: dict[str, Any], start: Seen
) -> tuple[dict[str, Any], Seen]:
    """The configuration with few fields at usual values, on which the package is right.

    The field whose usual value brings it nearest is put back first. Where that leads nowhere, the
    configuration as it was.
    """
    found, nearest = values, start
    for _ in range(MOST_REPAIRS):
        tries = [(made, seen) for made in _usual(variants, found) if (seen := variants.maybe(made))]
        best = min(tries, key=lambda one: one[1].difference, default=(found, nearest))
        if best[1].difference >= nearest.difference:
            break
        found, nearest = best
        if agrees(nearest):
            return found, nearest
    return values, start


def _usual(variants: Variants, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Configurations with one field at a usual value."""
    default = type(variants.config)().to_dict()
    for path in fields(values):
        for other in _usual_values(default, path, at(values, path)):
            yield dict(next(changes(values, path, [other])).values)


def _usual_values(default: Mapping[str, Any], path: Names, value: Any) -> list[Any]:
    """What a package may take for granted in place of a value; nothing for sizes."""
    if isinstance(value, int) and not isinstance(value, bool) and "window" not in path[-1]:
        return []
    found = [repair for pattern, repairs in REPAIRS.items() for repair in repairs
             if re.search(pattern, path[-1])]  # fmt: skip
    if not isinstance(value, list):
        with suppress(KeyError, TypeError):  # transformers' default has not every field
            found.insert(0, at(default, path))
    return [one for one in dict.fromkeys(found) if one != value]


def agrees(seen: Seen) -> bool:
    """Whether the package computes what transformers does."""
    return seen.difference <= SAME


def relative(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest number; infinite for other shapes."""
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(b).max())
