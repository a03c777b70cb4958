"""The files that hold a checkpoint's weights: safetensors or PyTorch's, whole or in shards.

PyTorch's files are pickles. They are read with `weights_only=True`, by which nothing but tensors is
made of them, or not at all; torch is imported for them alone.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.weights import MASK_BUFFERS
from reference.checkpoint import CheckpointError, listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reference.checkpoint import Array

PAIRS = ("model.safetensors", "pytorch_model.bin")
"""Names of whole files, in the order in which transformers looks for them; a file of shards is
listed in the same name with `.index.json` behind it."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(slots=True)
class Tensors:
    """What a checkpoint's files hold.

    Attributes:
        arrays: float32, by the name in the file.
        notes: what a user should know of how they were read, a sentence each.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_weights(name: str, folder: Path) -> Tensors:
    """Every tensor of a folder, as float32.

    Args:
        name: of the checkpoint, as the user asked for it.
        folder: where its files are.

    Raises:
        CheckpointError: for files that are missing, damaged or of another kind, a tensor that is
            in two of them, and dtypes that are not of weights.
    """
    found, wide = Tensors(), []
    files = _files(name, folder)
    for file in files:
        read = _from_torch if file.suffix == ".bin" else _from_safetensors
        for key, dtype, make in read(file):
            if key in found.arrays:
                raise CheckpointError(f"{name}: weight {key} is in more than one file")
            if key.endswith(MASK_BUFFERS):
                continue
            if dtype not in READABLE:
                raise CheckpointError(f"{name}: {_unreadable(key, dtype)}")
            wide += [key] if dtype == "F64" else []
            found.arrays[key] = make()
    if files[0].suffix == ".bin":
        found.notes.append(f"read from {files[0].name}: tensors alone, nothing in it is run")
    if wide:
        found.notes.append(f"stored as float64, and rounded to float32: {len(wide)} weights")
    return found


READABLE = ("F64", "F32", "F16", "BF16")
"""Dtypes of weights, as safetensors names them."""


def _unreadable(key: str, dtype: str) -> str:
    if dtype in ("I8", "U8", "F8_E4M3", "F8_E5M2"):
        return (
            f"{key} has dtype {dtype}: the checkpoint is quantised; give the one in float32, "
            "float16 or bfloat16 that it was made from"
        )
    return f"{key} has dtype {dtype}; weights are F64, F32, F16 or BF16"


def _files(name: str, folder: Path) -> list[Path]:
    """The whole file, or the shards that an index names."""
    for whole in PAIRS:
        index = folder / f"{whole}.index.json"
        if (folder / whole).is_file():
            return [folder / whole]
        if index.is_file():
            return _shards(name, index)
    raise CheckpointError(f"{name}: no {' or '.join(PAIRS)} in {folder}")


def _shards(name: str, index: Path) -> list[Path]:
    shard_of = read_object(name, index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(s, str) for s in shard_of.values()):
        raise CheckpointError(f"{name}: {index.name} has no weight_map from weights to files")
    shards = sorted(set(shard_of.values()))
    if not shards:
        raise CheckpointError(f"{name}: {index.name} names no file")
    present = {file.name for file in index.parent.iterdir()}  # so a shard lies in this very folder
    if missing := [shard for shard in shards if shard not in present]:
        raise CheckpointError(f"{name}: shard {listing(missing)} is missing")
    return [index.parent / shard for shard in shards]


def read_object(name: str, file: Path) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        CheckpointError: for what is not one.
    """
    check_is_there(file)
    text = ""
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        start = text.strip()[:40]
        quoted = f"; it begins with {start!r}" if start and not start.startswith("{") else ""
        raise CheckpointError(f"{name}: {file.name} cannot be read: {error}{quoted}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{name}: {file.name} is not a JSON object")
    return values


def check_is_there(file: Path) -> None:
    """Raise CheckpointError for what Git LFS or a failed download leaves in place of a file."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(200)
    except OSError:
        return  # whoever reads it says why
    if begin.startswith(LFS_POINTER):
        raise CheckpointError(
            f"{file} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder"
        )
    text = begin.decode("ascii", errors="ignore")
    if file.suffix != ".json" and len(text) == len(begin) > 8 and text.strip().isprintable():
        raise CheckpointError(
            f"{file} is a text, not weights; it begins with {text.strip()[:40]!r}"
        )


Entry = tuple[str, str, "Callable[[], Array]"]
"""A tensor's name, its dtype as safetensors names it, and how to get it in float32."""


def _from_safetensors(file: Path) -> Iterator[Entry]:
    """The safetensors library checks the header and the offsets, and reads what is asked for."""
    import ml_dtypes  # noqa: F401  gives NumPy the name `bfloat16`, by which safetensors asks for it
    from safetensors import SafetensorError, safe_open

    check_is_there(file)
    try:
        opened = safe_open(file, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file.name} is damaged or cut off: {error}") from error
    with opened as tensors:
        for key in tensors.keys():  # noqa: SIM118  it is no dict
            dtype = tensors.get_slice(key).get_dtype()
            yield key, dtype, partial(_to_float32, tensors, key)


def _to_float32(tensors: Any, key: str) -> Array:
    """In memory of its own: what is widened stays the same, what is rounded may become infinite."""
    with np.errstate(over="ignore"):  # to infinity, which is refused
        array: Array = tensors.get_tensor(key).astype(np.float32)
    return array


_TORCH_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8",
    "uint8": "U8", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def _from_torch(file: Path) -> Iterator[Entry]:
    import torch

    for key, tensor in torch_file(file).items():
        if not isinstance(tensor, torch.Tensor):
            raise CheckpointError(
                f"{file.name} is not a state dict: {key} is a {type(tensor).__name__}"
            )
        dtype = str(tensor.dtype).removeprefix("torch.")
        yield key, _TORCH_DTYPES.get(dtype, dtype), partial(tensor_to_float32, tensor)


def torch_file(file: Path) -> dict[str, Any]:
    """What PyTorch saved, if it is a dict of tensors, numbers, texts, lists and dicts.

    Raises:
        CheckpointError: for a file that is damaged, or whose objects would have to be run.
    """
    import pickle

    import torch

    check_is_there(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what matters is raised
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file.name} holds more than tensors, or is damaged, and is not unpickled: save it "
            "again with safetensors where it was made"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{file.name} is damaged or cut off: {reason}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file.name} is not a state dict, but a {type(found).__name__}")
    return {str(key): value for key, value in found.items()}


def tensor_to_float32(tensor: Any) -> Array:
    """A tensor's numbers, in memory of their own."""
    import torch

    array: Array = tensor.detach().to(torch.float32).contiguous().numpy()
    return array.copy()
