"""Checkpoints as a user asks for them, by one string.

- `tiny`: the trained model that this repository ships (`reference/tiny`)
- `random:PRESET`, `random:PRESET:REGIME`: seeded random weights in a published shape
- a folder: `config.json` and `model.safetensors` or `pytorch_model.bin`, whole or in shards; a
  folder of the hub's cache is opened
- anything else is an id on the Hugging Face hub, with a revision if one is given

max is not imported here, and torch for its own files alone (`reference.weight_files`).
"""

from __future__ import annotations

from pathlib import Path

from impl.config import PRESETS, ConfigError, GPT2Config
from reference.checkpoint import NO_BIASES, Checkpoint, CheckpointError, check_weights
from reference.folders import CONVERT, not_a_folder, opened
from reference.names import under_our_names
from reference.regimes import initial_weights, with_regime
from reference.weight_files import read_object, read_weights

TINY_FOLDER = Path(__file__).parent / "tiny"

_DOWNLOADED = ("config.json", "tokenizer*", "vocab.json", "merges.txt", "*.safetensors*")
_DOWNLOADED_ELSE = (*_DOWNLOADED[:-1], "pytorch_model*.bin*")
"""Where a repository has no safetensors: PyTorch's own files."""

CONVERSION = "conversion.json"
"""What `python -m reference convert` says of the folder that it made."""


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
    return _load_folder(name, folder_of(name, revision))


def folder_of(name: str, revision: str | None = None, *, whole: bool = True) -> Path:
    """The folder with a checkpoint's config.json, fetched from the hub where it is not here.

    Args:
        name: `tiny`, a local folder or a hub id.
        revision: a branch, tag or commit on the hub.
        whole: whether the weights are fetched, too.

    Raises:
        CheckpointError: in one sentence, where there is none.
    """
    folder = TINY_FOLDER if name == "tiny" else _local_folder(name)
    return opened(name, folder, revision) if folder else _download(name, revision, whole=whole)


def config_of(name: str, *, revision: str | None = None) -> GPT2Config:
    """The configuration of the checkpoint that a user asks for; no weights are read.

    Args:
        name: as `load` takes it.
        revision: likewise.

    Raises:
        CheckpointError: as `load`.
    """
    if name.startswith("random:"):
        return PRESETS[_preset_and_regime(name)[0]]
    return _read_config(name, folder_of(name, revision, whole=False))


def _preset_and_regime(name: str) -> tuple[str, list[str]]:
    """Of `random:PRESET[:REGIME]`."""
    _, preset, *rest = name.split(":")
    if preset not in PRESETS or len(rest) > 1:
        raise CheckpointError(
            f"{name!r} is not random:PRESET[:REGIME]; presets are {', '.join(PRESETS)}"
        )
    return preset, rest


def _random_checkpoint(name: str, seed: int) -> Checkpoint:
    """`random:PRESET[:REGIME]`; the regime is `perturbed` unless another is given."""
    preset, rest = _preset_and_regime(name)
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
        raise CheckpointError(not_a_folder(folder))
    return None


def _download(name: str, revision: str | None, *, whole: bool = True) -> Path:
    """Fetch a repository from the hub, or find it in the local cache (`HF_HUB_OFFLINE=1`)."""
    from httpx import HTTPError, InvalidURL
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    asked = f"{name}@{revision}" if revision else name

    def fetched(patterns: tuple[str, ...]) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))

    try:
        if not whole:
            return fetched(("config.json",))
        folder = fetched(_DOWNLOADED)
        return folder if any(folder.glob("*.safetensors")) else fetched(_DOWNLOADED_ELSE)
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
    tensors = read_weights(name, folder)
    try:
        weights, notes = under_our_names(config, tensors.arrays)
        check_weights(config, weights)
    except CheckpointError as error:
        told = str(error)
        if told.startswith(NO_BIASES):
            told += f": `{CONVERT} {folder} NEW --missing-bias zero` writes a copy with zeros"
        raise CheckpointError(f"{name}: {told}") from None
    notes = [*tensors.notes, *notes, *_conversion_notes(name, folder)]
    return Checkpoint(name=name, config=config, weights=weights, folder=folder, notes=tuple(notes))


def _read_config(name: str, folder: Path) -> GPT2Config:
    try:
        return GPT2Config.from_dict(read_object(name, folder / "config.json"))
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error


def _conversion_notes(name: str, folder: Path) -> list[str]:
    """What `python -m reference convert` did to make this folder."""
    if not (folder / CONVERSION).exists():
        return []
    return [str(note) for note in read_object(name, folder / CONVERSION).get("notes", [])]
