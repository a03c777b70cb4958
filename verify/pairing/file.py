"""A pairing as a TOML file, which `--pairing` reads and a run writes."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from verify.pairing.counterpart import PARTS, Counterpart, Pairing, PairingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ENTRY = re.compile(r"(?P<name>[^\s\[\]]+)(?: \[(?P<part>\w+)\])?(?P<transposed> transposed)?")

_LAYER = re.compile(r"\{layer(?:([+-])(\d+))?\}")


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
        raise PairingError(f"--pairing {path} is not TOML: {error}") from error
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
        raise PairingError(f"--pairing {path}: {table} is not a table")
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
