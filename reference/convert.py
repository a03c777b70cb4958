"""`python -m reference convert`: a checkpoint folder of what other programs save.

    python -m reference convert out/ckpt.pt NEW                  nanoGPT
    python -m reference convert gpt2_124M.bin NEW                llm.c, float32 or bfloat16
    python -m reference convert FOLDER NEW --missing-bias zero   a model without biases

NEW becomes a folder with config.json, model.safetensors and conversion.json, which says what was
done; every command tells it with the results of such a folder. Nothing is written over, and the
source is left as it is. What was written is read again and compared, bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impl.config import ACTIVATIONS, ConfigError, GPT2Config, parameter_shapes
from impl.weights import CONV1D
from reference.checkpoint import CheckpointError, check_weights
from reference.folders import LLM_C_MAGIC, opened, write_checkpoint, written_by
from reference.load import CONVERSION, load
from reference.names import under_our_names
from reference.weight_files import read_object, read_weights, tensor_to_float32, torch_file
from reports.commands import Parser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.checkpoint import Array


@dataclass(slots=True)
class Source:
    """What is to be written.

    Attributes:
        config: of the model.
        weights: float32, by Hugging Face's names; some biases may be missing.
        notes: what was done, a sentence each.
        folder: where a tokenizer's files may be.
    """

    config: GPT2Config
    weights: dict[str, Array]
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None


def main(argv: Sequence[str]) -> int:
    """Write the folder; 2 where something is wrong with the source or the target."""
    options = _parser().parse_args(argv)
    target: Path = options.target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target} exists already, and is not overwritten")
    source = _read(options.source, options.activation)
    _fill_biases(source, options.missing_bias)
    check_weights(source.config, source.weights)
    _write(source, target)
    print(f"{target}: {source.config.parameter_count:,} parameters")
    for note in source.notes:
        print(f"  {note}")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m reference convert", description=__doc__ and __doc__[:78])
    parser.add_argument("source", type=Path, help="nanoGPT's ckpt.pt, llm.c's .bin, or a folder")
    parser.add_argument("target", type=Path, help="the folder to make")
    parser.add_argument(
        "--missing-bias", choices=["zero"], help="add biases of zeros where the model has none"
    )
    parser.add_argument(
        "--activation", choices=list(ACTIVATIONS), metavar="NAME",
        help="activation_function, which nanoGPT's file does not record (gelu)",
    )  # fmt: skip
    return parser


def _read(source: Path, activation: str | None) -> Source:
    if source.is_dir():
        return _from_folder(source, activation)
    match written_by(source):
        case "nanoGPT":
            return from_nano_gpt(source, activation or "gelu")
        case "llm.c":
            return from_llm_c(source, activation or "gelu_new")
    raise CheckpointError(f"{source} is neither nanoGPT's, nor llm.c's, nor a folder")


def _from_folder(source: Path, activation: str | None) -> Source:
    folder = opened(str(source), source)
    values = read_object(str(source), folder / "config.json")
    config = _config(**({"activation_function": activation} if activation else {}), values=values)
    tensors = read_weights(str(source), folder)
    weights, notes = under_our_names(config, tensors.arrays)
    return Source(config, weights, [*tensors.notes, *notes], folder)


def _config(*, values: Mapping[str, Any], **more: Any) -> GPT2Config:
    try:
        return GPT2Config.from_dict({**values, **more})
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def from_nano_gpt(file: Path, activation: str) -> Source:
    """A `ckpt.pt` of nanoGPT: `model`, whose linear weights are [out, in], and `model_args`.

    Raises:
        CheckpointError: for another file, or sizes that are missing.
    """
    held = torch_file(file)
    state, sizes = held.get("model"), held.get("model_args")
    if not isinstance(state, dict) or not isinstance(sizes, dict):
        raise CheckpointError(f"{file} has no model and model_args, as nanoGPT's checkpoints have")
    names = {"n_positions": "block_size", "vocab_size": "vocab_size",
             "n_embd": "n_embd", "n_layer": "n_layer", "n_head": "n_head"}  # fmt: skip
    if missing := [name for name in names.values() if name not in sizes]:
        raise CheckpointError(f"{file}: its model_args have no {', '.join(missing)}")
    config = _config(values={ours: sizes[theirs] for ours, theirs in names.items()},
                     activation_function=activation)  # fmt: skip
    arrays = {str(key): tensor_to_float32(tensor) for key, tensor in state.items()}
    weights, notes = under_our_names(config, arrays)
    for key in weights:
        if key.endswith(CONV1D):
            weights[key] = np.ascontiguousarray(weights[key].T)
    notes.append(f"converted from nanoGPT's {file.name}, with activation_function {activation}")
    return Source(config, weights, notes, file.parent)


LLM_C_VERSIONS = {3: "<f4", 5: "<u2"}
"""What llm.c's versions hold: float32, and bfloat16 as 16 bits."""

LLM_C_ORDER = (
    "wte.weight", "wpe.weight", "ln_1.weight", "ln_1.bias", "attn.c_attn.weight",
    "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight", "ln_2.bias",
    "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias",
    "ln_f.weight", "ln_f.bias",
)  # fmt: skip
"""Parameters as llm.c writes them, those of all blocks at once; linear weights are [out, in]."""

LLM_C_HEADER = 256
"""32-bit integers before the parameters: magic, version, positions, vocabulary, blocks, heads,
features, rows of the token embedding."""


def from_llm_c(file: Path, activation: str) -> Source:
    """A `.bin` of llm.c's GPT-2, of its version 3 (float32) or 5 (bfloat16).

    Raises:
        CheckpointError: for another version, or a file of another length.
    """
    data = file.read_bytes()
    header: Array = np.frombuffer(data[: 4 * LLM_C_HEADER], "<i4")
    if len(header) < LLM_C_HEADER or header[0] != LLM_C_MAGIC or header[1] not in LLM_C_VERSIONS:
        raise CheckpointError(f"{file} is not of llm.c's version 3 (float32) or 5 (bfloat16)")
    positions, vocabulary, layers, heads, width, rows = map(int, header[2:8])
    config = _config(
        values={"vocab_size": vocabulary, "n_positions": positions, "n_embd": width,
                "n_layer": layers, "n_head": heads}, activation_function=activation,
    )  # fmt: skip
    numbers = np.frombuffer(data, LLM_C_VERSIONS[int(header[1])], offset=4 * LLM_C_HEADER)
    if numbers.dtype.itemsize == 2:
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    weights = _llm_c_weights(file, config, numbers, rows)
    notes = [f"converted from llm.c's {file.name}"]
    if rows > vocabulary:
        notes.append(f"{rows - vocabulary} rows of padding were cut off the token embedding")
    return Source(config, weights, notes, file.parent)


def _llm_c_weights(file: Path, config: GPT2Config, numbers: Array, rows: int) -> dict[str, Array]:
    shapes, at, weights = parameter_shapes(config), 0, {}

    def take(shape: tuple[int, ...]) -> Array:
        nonlocal at
        part = numbers[at : at + int(np.prod(shape))]
        at += int(np.prod(shape))
        return part.reshape(shape) if part.size == np.prod(shape) else np.zeros(shape, np.float32)

    for name in LLM_C_ORDER:
        outside = f"transformer.{name}"
        if name == "wte.weight":
            weights[outside] = take((rows, config.n_embd))[: config.vocab_size].copy()
        elif outside in shapes:
            weights[outside] = take(shapes[outside]).copy()
        else:
            for layer in range(config.n_layer):
                full = f"transformer.h.{layer}.{name}"
                shape = shapes[full]
                array = take(shape[::-1] if name in CONV1D else shape)
                weights[full] = np.ascontiguousarray(array.T if name in CONV1D else array)
    if at != numbers.size:
        raise CheckpointError(
            f"{file} holds {numbers.size:,} numbers; a model of its sizes has {at:,}"
        )
    return weights


def _fill_biases(source: Source, choice: str | None) -> None:
    """Add the biases that are missing, where the user said so."""
    shapes = parameter_shapes(source.config)
    missing = [n for n in shapes if n not in source.weights and n.endswith(".bias")]
    if not missing:
        return
    if choice != "zero":
        raise CheckpointError(
            f"the model has no biases ({len(missing)} are missing): --missing-bias zero adds zeros"
        )
    source.weights |= {name: np.zeros(shapes[name], np.float32) for name in missing}
    source.notes.append(f"{len(missing)} biases, which the model lacks, are zeros")


def _write(source: Source, target: Path) -> None:
    write_checkpoint(target, source.config, source.weights, source.folder)
    notes = json.dumps({"notes": source.notes}, indent=1) + "\n"
    (target / CONVERSION).write_text(notes, encoding="utf-8")
    again = load(str(target))
    if again.config != source.config or any(
        not np.array_equal(again.weights[name], array) for name, array in source.weights.items()
    ):
        raise CheckpointError(f"what was written to {target} is not what was read")
