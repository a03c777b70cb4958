"""A checkpoint whose elements are numbers of their own: what arrives tells where it is from.

All elements of all floating-point tensors are numbered through, in the order of the tensors' names.
A number is written in digits that every dtype of the checkpoint holds exactly: float32 has 2^24, a
tiny checkpoint in one pass; bfloat16 has 256, and takes a pass for each digit.

    number   = first of its tensor + position in it
    pass k   holds   number // BASE^k % BASE
"""

from __future__ import annotations

import json
import math
import shutil
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from reference.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reference.trace import Array

EXACT_INTEGERS = {torch.float32: 2**24, torch.float64: 2**24, torch.float16: 2**11,
                  torch.bfloat16: 2**8}  # fmt: skip
"""How many integers from 0 a dtype holds without a gap (for float64, which may become float32)."""


NARROW = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Numbering:
    """Which numbers belong to which tensor.

    Attributes:
        names: of the floating-point tensors, sorted.
        shapes: of each.
        firsts: the number of each one's first element, and at the end how many there are.
        base: of the digits.
        others: names of tensors that hold no numbers of a known floating-point dtype.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    firsts: tuple[int, ...]
    base: int
    others: tuple[str, ...]

    @property
    def passes(self) -> int:
        """How many copies of the checkpoint tell all digits."""
        return max(1, math.ceil(math.log(max(2, self.firsts[-1])) / math.log(self.base)))

    def tensor_of(self, number: int) -> int:
        """The position among `names` of the tensor that an element belongs to."""
        return bisect_right(self.firsts, number) - 1

    def digit(self, name: str, which: int) -> Array:
        """What a tensor holds in a pass, `float64`."""
        at = self.names.index(name)
        numbers = np.arange(self.firsts[at], self.firsts[at + 1], dtype=np.int64)
        return (numbers // self.base**which % self.base).reshape(self.shapes[at]).astype(float)

    def numbers(self, digits: Sequence[Array]) -> Array:
        """The elements that arrived, `int64`; -1 where one was computed and is no number."""
        found = np.zeros(digits[0].shape, np.int64)
        valid = np.ones(digits[0].shape, bool)
        for which, digit in enumerate(digits):
            whole = np.nan_to_num(digit, nan=-1.0, posinf=-1.0, neginf=-1.0)
            valid &= (whole == np.floor(whole)) & (whole >= 0) & (whole < self.base)
            found += np.where(valid, whole, 0).astype(np.int64) * self.base**which
        return np.where(valid & (found < self.firsts[-1]), found, -1)


def number(folder: Path) -> Numbering:
    """Number the tensors of a checkpoint.

    Raises:
        CheckpointError: for a folder without safetensors.
    """
    tensors: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    for file in files_of(folder):
        with safe_open(str(file), "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 -- it is no mapping
                tensor = opened.get_tensor(name)
                tensors[name] = (tuple(tensor.shape), tensor.dtype)
    names = tuple(sorted(name for name, (_, dtype) in tensors.items() if dtype in EXACT_INTEGERS))
    shapes = tuple(tensors[name][0] for name in names)
    firsts = (0, *np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64).tolist())
    base = min((EXACT_INTEGERS[tensors[name][1]] for name in names), default=2)
    return Numbering(names, shapes, firsts, base, tuple(sorted(tensors.keys() - set(names))))


def write_numbered(folder: Path, numbering: Numbering, which: int, target: Path) -> None:
    """Copy a checkpoint with the digits of a pass in place of its weights.

    Args:
        folder: the checkpoint.
        numbering: of it.
        which: the pass, counted from 0.
        target: is made; holds the same files, tensors, shapes and dtypes.
    """
    target.mkdir(parents=True)
    files = files_of(folder)
    for file in folder.iterdir():
        if file.is_file() and file not in files:
            shutil.copyfile(file, target / file.name)
    for file in files:
        save_file(_digits(file, numbering, which), target / file.name, metadata=_metadata(file))


def write_widened(folder: Path, target: Path) -> None:
    """Copy a checkpoint with its floating-point tensors in float32, which changes no value.

    Args:
        folder: the checkpoint.
        target: is made.
    """
    shutil.copytree(folder, target)
    for file in files_of(target):
        with safe_open(str(file), "pt") as opened:
            tensors = {name: _wide(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118
        save_file(tensors, file, metadata=_metadata(folder / file.name))
    config = json.loads((folder / "config.json").read_text())
    config |= {name: "float32" for name in ("dtype", "torch_dtype") if name in config}
    (target / "config.json").write_text(json.dumps(config, indent=2))


def is_narrow(folder: Path) -> bool:
    """Whether a checkpoint holds floating-point numbers of 16 bits."""
    return any(tensor.dtype in NARROW for tensor in tensors_of(folder).values())


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name."""
    found: dict[str, torch.Tensor] = {}
    for file in files_of(folder):
        with safe_open(str(file), "pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return found


def files_of(folder: Path) -> list[Path]:
    """The files of a checkpoint that hold its tensors.

    Raises:
        CheckpointError: where there is none.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text())["weight_map"].values())
        return sorted(folder / name for name in named)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} holds no safetensors")
    return files


def _digits(file: Path, numbering: Numbering, which: int) -> dict[str, torch.Tensor]:
    made = {}
    with safe_open(str(file), "pt") as opened:
        for name in opened.keys():  # noqa: SIM118
            tensor = opened.get_tensor(name)
            if name in numbering.names:
                tensor = torch.from_numpy(numbering.digit(name, which)).to(tensor.dtype)
            made[name] = tensor
    return made


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in NARROW else tensor


def _metadata(file: Path) -> Any:
    with safe_open(str(file), "pt") as opened:
        return opened.metadata()
