"""Which parameter and which module of a candidate stands for which of the reference.

A pairing is plain text at heart, so that a person can read and correct it:

    [weights]
    "blocks.{layer}.q.weight" = "transformer.h.{layer}.attn.c_attn.weight [query] transposed"
    [places]
    "blocks.{layer}.q" = "transformer.h.{layer}.attn.c_attn [query]"
    "blocks.{layer}.wrapper" = ""

The left side is the candidate's, the right side the reference's. `{layer}` stands for a block's
number and `{layer+1}` for the number after it; `*` for all blocks, stacked along a first axis;
`[query]`, `[key]` and `[value]` for a third of the fused projection; "" for no counterpart.
`verify.propose` makes a pairing, and a file given with `--pairing` corrects it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reference.trace import Array

PARTS = ("query", "key", "value")
"""The thirds of GPT-2's fused projection, in the checkpoint's order."""

_ENTRY = re.compile(r"(?P<name>[^\s\[\]]+)(?: \[(?P<part>\w+)\])?(?P<transposed> transposed)?")
_LAYER = re.compile(r"\{layer(?:([+-])(\d+))?\}")


class PairingError(ValueError):
    """A pairing that cannot be used, told in one sentence."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What stands for one of the candidate's parameters or modules.

    Attributes:
        name: the reference's parameter, or place; "" for none.
        part: `query`, `key` or `value` for a third of it along its last axis, else "".
        transposed: whether the last two axes change places (parameters only).
        why: how it was found: `path`, `name`, `shape`, `order`, `parameters`, `structure`,
            `value` or `file`.
    """

    name: str
    part: str = ""
    transposed: bool = False
    why: str = "file"

    def __str__(self) -> str:
        """As a pairing file has it."""
        part = f" [{self.part}]" if self.part else ""
        return f"{self.name}{part}{' transposed' if self.transposed else ''}"

    def take(self, weights: Mapping[str, Array], n_layer: int) -> Array:
        """The candidate's parameter, from the reference's: C-contiguous, in the same dtype.

        Args:
            weights: of the reference, by name.
            n_layer: how many blocks a name with `*` stands for.
        """
        if "*" in self.name:
            one = (replace(self, name=self.name.replace("*", str(i))) for i in range(n_layer))
            return np.stack([each.take(weights, n_layer) for each in one])
        array = third(weights[self.name], self.part)
        return np.ascontiguousarray(array.swapaxes(-1, -2) if self.transposed else array)


def third(array: Array, part: str) -> Array:
    """The query's, key's or value's third of the last axis; all of it for ""."""
    return np.split(array, len(PARTS), axis=-1)[PARTS.index(part)] if part else array


@dataclass(frozen=True)
class Pairing:
    """A candidate's parameters and modules, each with its counterpart.

    Attributes:
        weights: by the candidate's parameter name.
        places: by the name of a call of one of the candidate's modules.
        loose: calls without counterpart, with the reason.
        unheld: parameters of the reference that no parameter of the candidate holds.
        doubts: parameters whose counterpart nothing tells but trying: each a list of alternatives,
            each of those the weights to be changed.
    """

    weights: Mapping[str, Counterpart]
    places: Mapping[str, Counterpart]
    loose: Mapping[str, str] = field(default_factory=dict)
    unheld: tuple[str, ...] = ()
    doubts: tuple[tuple[Mapping[str, Counterpart], ...], ...] = ()

    def settled(self, choices: Iterable[Mapping[str, Counterpart]]) -> Pairing:
        """The pairing with one alternative of each doubt chosen."""
        weights = dict(self.weights)
        for choice in choices:
            weights |= choice
        return replace(self, weights=weights)

    @property
    def by_path(self) -> bool:
        """Whether every parameter and module has the reference's own path."""
        found = (*self.weights.values(), *self.places.values())
        return all(c.why == "path" for c in found) and not (self.loose or self.unheld)


# ---- the text form ------------------------------------------------------------------------------


def collapsed(entries: Mapping[str, str]) -> dict[str, str]:
    """Entries of all blocks as one, where they differ in the block's number alone.

    Args:
        entries: the reference's side by the candidate's.
    """
    groups: dict[str, list[tuple[str, int]]] = {}
    result: dict[str, str] = {}
    for own, theirs in entries.items():
        numbered = re.search(r"(?<=\.)\d+(?=\.|$|\s)", theirs)
        if numbered is None:
            result[own] = theirs
            continue
        template = f"{theirs[: numbered.start()]}{{layer}}{theirs[numbered.end() :]}"
        groups.setdefault(template, []).append((own, int(numbered[0])))
        result.setdefault(template, template)  # keeps the order of the entries
    for template, members in groups.items():
        shared = _shared_template(members)
        names = {shared: template} if shared else _expanded(template, members)
        result = _inserted(result, template, names)
    return result


def _shared_template(members: list[tuple[str, int]]) -> str:
    """One name with `{layer}` that gives every member's, or nothing."""
    if len(members) < 2:
        return ""
    first, layer = members[0]
    for number in re.finditer(r"\d+", first):
        offset = int(number[0]) - layer
        sign = f"{offset:+d}" if offset else ""
        template = f"{first[: number.start()]}{{layer{sign}}}{first[number.end() :]}"
        if all(_filled(template, index) == name for name, index in members):
            return template
    return ""


def _expanded(template: str, members: list[tuple[str, int]]) -> dict[str, str]:
    return {own: template.replace("{layer}", str(layer)) for own, layer in members}


def _inserted(entries: dict[str, str], at: str, names: dict[str, str]) -> dict[str, str]:
    """The entries with the one called `at` replaced by others, in its place."""
    result: dict[str, str] = {}
    for own, theirs in entries.items():
        result.update(names if own == at else {own: theirs})
    return result


def _filled(template: str, layer: int) -> str:
    """The template with a block's number in it."""

    def number(found: re.Match[str]) -> str:
        offset = int(found[2] or 0)
        return str(layer - offset if found[1] == "-" else layer + offset)

    return _LAYER.sub(number, template)


def to_toml(pairing: Pairing, about: str) -> str:
    """The pairing as a file that `from_toml` reads.

    Args:
        pairing: what to write.
        about: a line that says what it belongs to.
    """
    places = {name: str(c) for name, c in pairing.places.items()}
    loose = dict.fromkeys(pairing.loose, "")
    lines = [
        f"# {about}",
        '# Left: the candidate. Right: the reference; "" where there is no counterpart.',
        "[weights]",
        *_lines(collapsed({name: str(c) for name, c in pairing.weights.items()})),
        "",
        "[places]",
        *_lines(collapsed(places) | loose),
    ]
    return "\n".join(lines) + "\n"


def _lines(entries: Mapping[str, str]) -> list[str]:
    return [f'"{own}" = "{theirs}"' for own, theirs in entries.items()]


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a pairing file says, block numbers filled in."""

    weights: Mapping[str, Counterpart]
    places: Mapping[str, Counterpart]


def from_toml(path: Path, n_layer: int) -> Corrections:
    """Read a pairing file.

    Raises:
        PairingError: in one sentence, whatever is wrong with the file.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PairingError(f"--pairing {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PairingError(f"--pairing {path} is no TOML: {error}") from error
    if unknown := sorted(tables.keys() - {"weights", "places"}):
        raise PairingError(
            f"--pairing {path} has a table [{unknown[0]}]; [weights] and [places] are known"
        )
    return Corrections(
        _entries(path, "weights", tables.get("weights", {}), n_layer),
        _entries(path, "places", tables.get("places", {}), n_layer),
    )


def _entries(path: Path, table: str, values: Any, n_layer: int) -> dict[str, Counterpart]:
    if not isinstance(values, dict):
        raise PairingError(f"--pairing {path}: {table} is no table")
    result = {}
    for own, theirs in values.items():
        if not isinstance(theirs, str):
            raise PairingError(f"--pairing {path}: {own!r} must be given a string, not {theirs!r}")
        layered = "{layer" in own or "{layer" in theirs
        for layer in range(n_layer) if layered else (0,):
            result[_filled(own, layer)] = _counterpart(path, own, _filled(theirs, layer))
    return result


def _counterpart(path: Path, own: str, text: str) -> Counterpart:
    if not text:
        return Counterpart("")
    found = _ENTRY.fullmatch(text)
    if found is None or (found["part"] or PARTS[0]) not in PARTS:
        raise PairingError(
            f"--pairing {path}: {own!r} is given {text!r}, which is not of the form "
            "NAME [query] transposed"
        )
    return Counterpart(found["name"], found["part"] or "", bool(found["transposed"]))
