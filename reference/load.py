"""Checkpoints as a user asks for them, by one string.

- `tiny`: the trained model that this repository ships (`reference/tiny`)
- `random:PRESET`, `random:PRESET:REGIME`: seeded random weights in a published shape
- a folder: `config.json` and `model.safetensors`, or shards with their index
- anything else is an id on the Hugging Face hub, with a revision if one is given

Neither torch nor max is imported here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import PRESETS, ConfigError, GPT2Config
from impl.weights import MASK_BUFFERS
from reference.checkpoint import Checkpoint, CheckpointError, check_weights, listing
from reference.regimes import initial_weights, with_regime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference.checkpoint import Array

TINY_FOLDER = Path(__file__).parent / "tiny"

_DOWNLOADED = ("config.json", "tokenizer*", "vocab.json", "merges.txt", "*.safetensors*")


def load(name: str, *, revision: str | None = None, seed: int = 0) -> Checkpoint:
    """Load the checkpoint that a user asks for by `name`.

    Args:
        name: `tiny`, `random:PRESET[:REGIME]`, a local folder or a hub id.
        revision: a branch, tag or commit on the hub.
        seed: draws the weights of `random:` checkpoints.

    Raises:
        CheckpointError: in one sentence, whatever is wrong with the name, the files or the weights.
    """
    if name.startswith("random:"):
        return _random_checkpoint(name, seed)
    folder = TINY_FOLDER if name == "tiny" else _local_folder(name)
    return _load_folder(name, folder or _download(name, revision))


def _random_checkpoint(name: str, seed: int) -> Checkpoint:
    """`random:PRESET[:REGIME]`; the regime is `perturbed` unless another is given."""
    _, preset, *rest = name.split(":")
    if preset not in PRESETS or len(rest) > 1:
        raise CheckpointError(
            f"{name!r} is not random:PRESET[:REGIME]; presets are {', '.join(PRESETS)}"
        )
    config = PRESETS[preset]
    start = Checkpoint(name=name, config=config, weights=initial_weights(config, seed))
    return with_regime(start, rest[0] if rest else "perturbed", seed=seed)


def _local_folder(name: str) -> Path | None:
    """The folder of that name, or None where there is nothing of that name."""
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder
        exists = folder.exists()
    except (OSError, RuntimeError) as error:  # too long, not permitted, or no such user's `~`
        raise CheckpointError(f"{name!r} is not a folder that can be read: {error}") from error
    if exists:
        raise CheckpointError(f"{name} is a file; give the folder that holds config.json")
    return None


def _download(name: str, revision: str | None) -> Path:
    """Fetch a repository from the hub, or find it in the local cache (`HF_HUB_OFFLINE=1`)."""
    from httpx import HTTPError, InvalidURL
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    asked = f"{name}@{revision}" if revision else name
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except HFValidationError as error:
        raise CheckpointError(f"{name!r} is neither a folder nor a hub id") from error
    except (LocalEntryNotFoundError, HTTPError, InvalidURL, ConnectionError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403, 404):
            raise CheckpointError(f"the hub has no model {asked} that you may read") from error
        raise CheckpointError(
            f"{asked} is not a folder here, and the Hugging Face hub cannot be reached; "
            "`tiny` works without a network"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{asked} cannot be stored in the local cache: {error}") from error


def _load_folder(name: str, folder: Path) -> Checkpoint:
    """Read config.json and the weights, and check that they fit each other."""
    config = _read_config(name, folder)
    raw: dict[str, Array] = {}
    for file in _weight_files(name, folder):
        for key, array in _read_safetensors(file).items():
            if key in raw:
                raise CheckpointError(f"{name}: weight {key} is in more than one file")
            raw[key] = array
    weights = _canonical(config, raw)
    try:
        check_weights(config, weights)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    return Checkpoint(name=name, config=config, weights=weights, folder=folder)


def _read_config(name: str, folder: Path) -> GPT2Config:
    if not (folder / "config.json").exists():
        raise CheckpointError(f"{name}: no config.json in {folder}")
    try:
        return GPT2Config.from_dict(_read_object(name, folder / "config.json"))
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error


def _read_object(name: str, file: Path) -> dict[str, Any]:
    """The JSON object that a file holds."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}: {file.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{name}: {file.name} is no JSON object")
    return values


def _weight_files(name: str, folder: Path) -> list[Path]:
    """`model.safetensors`, or the shards that the index names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise CheckpointError(f"{name}: no model.safetensors in {folder}")
    shard_of = _read_object(name, index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(s, str) for s in shard_of.values()):
        raise CheckpointError(f"{name}: {index.name} has no weight_map from weights to files")
    shards = sorted(set(shard_of.values()))
    present = {file.name for file in folder.iterdir()}  # so a shard lies in this very folder
    if missing := [shard for shard in shards if shard not in present]:
        raise CheckpointError(f"{name}: shard {listing(missing)} is missing")
    return [folder / shard for shard in shards]


def _read_safetensors(file: Path) -> dict[str, Array]:
    """Every tensor of the file, widened to float32.

    The safetensors library checks the header and the offsets; bfloat16, which numpy lacks, is
    widened here by moving its 16 bits into the upper half of a float32.
    """
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(file.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file.name} is damaged or cut off: {error}") from error
    return {key: _to_float32(key, entry) for key, entry in entries}


def _to_float32(name: str, entry: Mapping[str, Any]) -> Array:
    data, shape = entry["data"], tuple(entry["shape"])
    match entry["dtype"]:
        case "F32":
            array = np.frombuffer(data, "<f4").astype(np.float32)
        case "F16":
            array = np.frombuffer(data, "<f2").astype(np.float32)
        case "BF16":
            array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        case _ if name.endswith(MASK_BUFFERS):
            return np.zeros(0, np.float32)  # a mask buffer, which is skipped
        case other:
            raise CheckpointError(f"{name} has dtype {other}; weights are F32, F16 or BF16")
    return array.reshape(shape)


def _canonical(config: GPT2Config, raw: Mapping[str, Array]) -> dict[str, Array]:
    """Drop mask buffers and a tied head's copy; add the `transformer.` that old files leave out."""
    weights: dict[str, Array] = {}
    for key, array in raw.items():
        if key.endswith(MASK_BUFFERS):
            continue
        full = key if key.startswith(("transformer.", "lm_head.")) else f"transformer.{key}"
        if full in weights:
            raise CheckpointError(f"weight {full} occurs twice, once without `transformer.`")
        weights[full] = array
    if config.tie_word_embeddings and "lm_head.weight" in weights:
        head = weights.pop("lm_head.weight")
        wte = weights.get("transformer.wte.weight")
        if wte is not None and not np.array_equal(head, wte):
            raise CheckpointError(
                "lm_head.weight differs from transformer.wte.weight, which the configuration ties"
            )
    return weights
