"""Whether a package takes every tensor of a checkpoint, and puts it where it belongs.

The package is opened on the checkpoint, and on copies of it in which every element is a number of
its own (`reading.numbered`): what its graph then reads tells from where each value came.
Every tensor must be read, once or by a tie that the configuration names; every parameter must be
filled; and values must arrive bit for bit, in whatever arrangement. What arrives bit for bit can
still lie in the wrong place: where two parameters hold each other's tensors by their names, or a
fused one holds its parts in another order than its name, that is told here. All else is left to the
mathematics.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from reference.checkpoint import CheckpointError
from verify.graph.errors import GraphError
from verify.graph.form import weight_names
from verify.judge.verdict import Check
from verify.package.opening.subject import first_line
from verify.package.reading.arrivals import Arrival, arrival, common_end
from verify.package.reading.numbered import (
    is_narrow,
    number,
    tensors_of,
    write_numbered,
    write_widened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reference.trace import Array
    from verify.judge.verdict import Verdict
    from verify.package.opening.subject import Package
    from verify.package.reading.numbered import Numbering

MODE = "checkpoint"

LEFTOVERS = {
    r"rotary_emb\.inv_freq$": "a table that is computed from the configuration",
    r"rope_freqs\.weight$": "a table that is computed from the configuration",
    r"attn\.(masked_)?bias$": "a causal mask",
}
"""Tensors that old checkpoints hold and no model reads, by their names."""

HEAD = re.compile(r"(lm_head|embed_out|output)\b")
"""Names of a language model's last matrix."""

Filled = dict[str, "Array"]
"""What a package's graphs read, by name: `float64`."""


def checkpoint_checks(package: Package, folder: Path) -> Iterator[Check]:
    """Follow every tensor of a checkpoint into a package.

    Args:
        package: to open.
        folder: a checkpoint in safetensors.

    Yields:
        A check of each parameter that the graph reads, then one of each tensor.

    Raises:
        CheckpointError: for a folder without safetensors.
    """
    try:
        yield from _followed(package, folder)
    except GraphError as error:
        yield _checked(folder.name, "", "ERROR", str(error))
    except CheckpointError:
        raise
    except Exception as error:
        if not is_narrow(folder):
            yield _unopened(folder, error)
            return
        yield from _followed_wide(package, folder, error)


def _followed_wide(package: Package, folder: Path, narrow: Exception) -> Iterator[Check]:
    """The checks on a copy in float32, where the package does not take 16 bits on a CPU."""
    with TemporaryDirectory() as place:
        copy = Path(place) / folder.name
        write_widened(folder, copy)
        try:
            checks = list(_followed(package, copy))
        except Exception:
            yield _unopened(folder, narrow)
            return
    message = f"followed on a copy in float32, because of {first_line(narrow)}"
    yield _checked(folder.name, "", "SKIP", message)
    yield from checks


def _unopened(folder: Path, error: Exception) -> Check:
    """Whatever a package raises is its answer."""
    message = f"the package cannot be opened on this checkpoint: {first_line(error)}"
    return _checked(folder.name, "", "FAIL", message)


def _followed(package: Package, folder: Path) -> Iterator[Check]:
    """The checks of a checkpoint on which the package opens; raises what the package does."""
    numbering = number(folder)
    values = {name: t.double().numpy().ravel() for name, t in tensors_of(folder).items()}
    held, unfilled = _filled(package, folder)
    numbered = list(_numbered(package, folder, numbering))
    arrivals = [
        arrival(name, numbering, [copy[name] for copy in numbered], held[name], values)
        for name in held
    ]
    story = _Story(folder.name, numbering, arrivals, values, _ties(folder))
    yield from (story.unfilled(name) for name in unfilled)
    yield from map(story.parameter, arrivals)
    yield from map(story.tensor, (*numbering.names, *numbering.others))


def _numbered(package: Package, folder: Path, numbering: Numbering) -> Iterator[Filled]:
    """What arrives of each numbered copy."""
    for which in range(numbering.passes):
        with TemporaryDirectory() as place:
            copy = Path(place) / folder.name
            write_numbered(folder, numbering, which, copy)
            yield _filled(package, copy)[0]


def _filled(package: Package, folder: Path) -> tuple[Filled, list[str]]:
    """What a package's graphs read on a checkpoint, and the names that nothing is given for."""
    with package.opened(folder) as (engine, _):
        filled: Filled = {}
        unfilled: list[str] = []
        for model in engine.models:
            for name in weight_names(model.graph):
                if name in model.weights:
                    filled[name] = model.weights[name].astype(np.float64)
                else:
                    unfilled.append(name)
    return filled, unfilled


def _ties(folder: Path) -> bool:
    """Whether the configuration ties the last matrix to the embedding."""
    config = json.loads((folder / "config.json").read_text())
    return bool(config.get("tie_word_embeddings", False))


def _checked(case: str, tap: str, verdict: Verdict, message: str) -> Check:
    return Check(case=case, mode=MODE, tap=tap, verdict=verdict, message=message)


class _Story:
    """The answer about each parameter and each tensor.

    Args:
        case: names the checkpoint.
        numbering: of it.
        arrivals: in each parameter.
        values: of each tensor, flat.
        ties: whether the configuration ties the last matrix to the embedding.
    """

    def __init__(
        self,
        case: str,
        numbering: Numbering,
        arrivals: Sequence[Arrival],
        values: Mapping[str, Array],
        ties: bool,
    ) -> None:
        self.case = case
        self.numbering = numbering
        self.values = values
        self.ties = ties
        self.readers: dict[str, list[str]] = defaultdict(list)
        for one in arrivals:
            for part in one.parts:
                self.readers[part.tensor].append(one.name)
        self.counts = np.zeros(numbering.firsts[-1], np.int64)
        for one in arrivals:
            np.add.at(self.counts, one.numbers[one.numbers >= 0], 1)
        self.computed = {one.name: one.computed for one in arrivals if one.computed}
        self.exchanged = dict(_exchanged(arrivals, numbering.names))

    def _check(self, tap: str, verdict: Verdict, message: str) -> Check:
        return _checked(self.case, tap, verdict, message)

    def unfilled(self, name: str) -> Check:
        """A parameter without a value."""
        return self._check(name, "FAIL", "the graph reads it, and nothing fills it")

    def parameter(self, one: Arrival) -> Check:
        """What a parameter was filled from."""
        if one.computed:
            begin = f"filled from {one.whence}; but " if one.parts else ""
            return self._check(one.name, "FAIL", begin + one.computed)
        if one.constant:
            return self._constant(one)
        wrong = self.exchanged.get(one.name) or _misordered(one)
        message = f"filled from {one.whence}"
        return self._check(one.name, "FAIL" if wrong else "PASS", message + wrong)

    def _constant(self, one: Arrival) -> Check:
        own = counterpart(one.name, self.numbering.names)
        if own is None:
            return self._check(one.name, "SKIP", "made by the package, not read from a checkpoint")
        message = f"the same whatever the checkpoint holds, though there is {own}"
        return self._check(one.name, "FAIL", message)

    def tensor(self, name: str) -> Check:
        """Whether a tensor is read, and how often."""
        if name not in self.numbering.names:
            return self._check(name, "SKIP", "holds no floating-point numbers that are followed")
        readers = self.readers[name]
        if not readers:
            return self._unread(name)
        at = self.numbering.names.index(name)
        counts = self.counts[self.numbering.firsts[at] : self.numbering.firsts[at + 1]]
        if counts.min() == 0:
            read = np.count_nonzero(counts)
            message = f"only {read} of its {counts.size} elements are read, by {_listed(readers)}"
            return self._check(name, "FAIL", message)
        if counts.max() > 1:
            return self._repeated(name, readers)
        return self._check(name, "PASS", f"read once, by {_listed(readers)}")

    def _unread(self, name: str) -> Check:
        for pattern, reason in LEFTOVERS.items():
            if re.search(pattern, name):
                return self._check(name, "SKIP", f"nothing reads it: {reason}")
        if self.ties and HEAD.search(name) and self._copied(name):
            return self._check(name, "PASS", f"a copy of {self._copied(name)}, as it is tied")
        into = [parameter for parameter, said in self.computed.items() if f" {name} " in said]
        if into:
            return self._check(name, "PASS", f"read, but not as it is, by {_listed(into)}")
        return self._check(name, "FAIL", "nothing reads it")

    def _copied(self, name: str) -> str:
        """The tensor that is read and holds the same values; empty if there is none."""
        for other, value in self.values.items():
            same = other != name and np.array_equal(value, self.values[name])
            if same and self.readers.get(other):
                return other
        return ""

    def _repeated(self, name: str, readers: list[str]) -> Check:
        if len(readers) == 1:
            message = f"some of its elements are read more than once, by {readers[0]}"
            return self._check(name, "FAIL", message)
        if self.ties and any(HEAD.search(reader) for reader in readers):
            return self._check(name, "PASS", f"read by {_listed(readers)}, as it is tied")
        return self._check(name, "FAIL", f"read more than once, by {_listed(readers)}")


def counterpart(parameter: str, tensors: Sequence[str]) -> str | None:
    """The tensor that a parameter is named after: the one whose name agrees furthest from its end.

    The number of the layer must agree, and the module's name, unless the name has no more parts.
    None where no tensor does, or several.
    """
    lengths = {tensor: common_end(parameter, tensor) for tensor in tensors}
    longest = max(lengths.values(), default=0)
    needed = min(2, parameter.count(".") + 1)
    found = [tensor for tensor, length in lengths.items() if length == longest]
    if longest < needed or len(found) != 1 or _layer(found[0]) != _layer(parameter):
        return None
    return found[0]


def _layer(name: str) -> list[str]:
    return re.findall(r"\.(\d+)\.", name)


def _exchanged(arrivals: Sequence[Arrival], tensors: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Parameters that hold each other's tensors by their names, two of them or more in a circle.

    One that holds a tensor of another name, without such a circle, was renamed: that is no fault.
    """
    own = {one.name: counterpart(one.name, tensors) for one in arrivals}
    named_after = {tensor: name for name, tensor in own.items() if tensor is not None}
    holds = {one.name: one.parts[0].tensor for one in arrivals if len(one.parts) == 1}
    follows = {name: named_after[tensor] for name, tensor in holds.items() if tensor in named_after}
    for name in holds:
        if follows.get(name) != name and _returns(name, follows):
            yield name, f", though there is {own[name]}, which is in {_where(own[name], holds)}"


def _returns(start: str, follows: Mapping[str, str]) -> bool:
    """Whether one comes back to where one began."""
    seen: set[str] = set()
    at = follows.get(start)
    while at is not None and at != start and at not in seen:
        seen.add(at)
        at = follows.get(at)
    return at == start


def _where(tensor: str | None, holds: Mapping[str, str]) -> str:
    return _listed([name for name, held in holds.items() if held == tensor]) or "no parameter"


def _misordered(one: Arrival) -> str:
    """What is said of a fused parameter whose parts lie in another order than in its own name.

    `qkv_proj` holds q, k and v, `gate_up_proj` gate and up: known only where its name has them all.
    """
    modules = [part.tensor.split(".")[-2] for part in one.parts if part.tensor.count(".")]
    stems = [module.removesuffix("_proj") for module in modules]
    module = one.name.split(".")[-2] if "." in one.name else ""
    places = [module.find(stem) for stem in stems]
    if len(stems) < 2 or -1 in places or len(set(places)) < len(places):
        return ""
    return "" if places == sorted(places) else f", in another order than {module} says"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
