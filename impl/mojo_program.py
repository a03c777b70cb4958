"""The engine's graph: one operation, of this repository's own Mojo kernels, for the CPU.

The cores fork and join once in it. Weights are packed when they are loaded, all layers' behind one
another, and a tied head is the embedding's own memory.
"""

from __future__ import annotations

import sys
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import BufferType, DeviceRef, Graph, TensorType, Weight, ops
from max.graph import Module as Program

from impl.choosing.kernel_choice import FORMS, UNITS, form_of_cpu, path_of
from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from impl.packing import (
    PRODUCTS,
    STORED,
    Packed,
    TooWideError,
    aligned,
    cache_of,
    held_by_terms,
    packed,
    weights_of,
)
from impl.precompile import KernelError, kernel_library
from impl.weights import from_hugging_face
from reports.saved.machine import last_level_cache_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from max.driver import Device

    from impl.config import Activation, GPT2Config

    Array = npt.NDArray[Any]

Layout = tuple[tuple[str, tuple[int, ...], DType], ...]
"""Name, shape and dtype of every weight of a program, in the order of the operation's operands."""

WEIGHT_BITS = {
    DType.float32: 32, DType.uint32: 28, DType.bfloat16: 16, DType.uint16: 12, DType.int8: 8,
}  # fmt: skip
HALVES = (("ln_1", ("attn.c_attn", "attn.c_proj")), ("ln_2", ("mlp.c_fc", "mlp.c_proj")))
NOT_HELD = "three bfloat16 terms do not hold these weights"
CPU = DeviceRef.CPU()
VECTOR = 16
SLOTS = 32  # positions of a panel of keys, as in impl/kernels/attention.mojo


class MojoProgram:
    """A compiled engine of Mojo kernels, with its weights and its cache.

    Args:
        config: the model's sizes.
        state: float32 arrays by Hugging Face name.
        device: a CPU.
        batch: rows of the cache.
        dtype: of the matrices, one of `impl.engine.DTYPES`.
        form: of the kernels, one of `FORMS`; by default the one for this CPU.
        narrow: whether in fewer bits than the dtype has, where that loses none; by default where
            the caches do not hold the weights, so that bytes are what decoding waits for.

    Attributes:
        path: what runs, in a few words.
        weight_bits: that each weight of a matrix takes.
        weight_bytes: held by the weights, a tied head once.
        cache_bytes: held by keys and values.

    Raises:
        impl.precompile.KernelError: where the kernels do not build.
    """

    def __init__(
        self,
        config: GPT2Config,
        state: Mapping[str, Array],
        device: Device,
        batch: int,
        dtype: str = "float32",
        *,
        form: str = "",
        narrow: bool | None = None,
    ) -> None:
        if narrow is None:
            narrow = not in_caches(config, dtype)
        form, weights = form or form_of_cpu(), from_hugging_face(config, state, contiguous=False)
        unit = "pairs" if dtype.endswith(PRODUCTS) else "floats"
        why = ""
        split = form.startswith("tiles") and unit == "floats" and dtype != "int8"
        if split and not held_by_terms(weights):
            form, why = form_of_cpu(), f", not in tiles: {NOT_HELD}"
        # MAX reads the weights where they are: this object keeps them alive and unchanged.
        self._weights = operands(config, weights, weights_of(dtype), narrow=narrow)
        held = {name: Buffer.from_numpy(array).view(kind) for name, kind, array in self._weights}
        layout = tuple((name, array.shape, kind) for name, kind, array in self._weights)
        self._kept = cache_of(dtype)
        session, compiled = _compiled(config, device, layout, form, unit, self._kept)
        self._model = session.init_all(compiled, weights_registry=held)["engine"]
        self.path = path_of("mojo", form, unit) + why
        self.weight_bits = WEIGHT_BITS[self._weights[0][1]]
        self.weight_bytes = sum(array.nbytes for _, _, array in self._weights)
        self._take_cache(config, batch)

    def _take_cache(self, config: GPT2Config, batch: int) -> None:
        shapes, kept = cache_shapes(config, batch), self._kept
        self._cache = [aligned(shape, STORED[kept]) for shape in shapes]
        self._buffers = [Buffer.from_numpy(array).view(DType[kept]) for array in self._cache]
        self._results = Results(config.vocab_size)
        self._step = Inputs((batch, 1), np.arange(batch))
        self.cache_bytes = sum(array.nbytes for array in self._cache)

    def resized(self, config: GPT2Config, batch: int) -> MojoProgram:
        """The same program and weights with a cache of its own; see `impl.engine.Program`."""
        other = copy(self)
        other._take_cache(config, batch)
        return other

    def forward(self, ids: Array, past: Array, lengths: Array, *, every: bool) -> Array:
        """Append tokens to the cache; see `impl.engine.Program.forward`."""
        batch, length = ids.shape
        inputs = self._step
        if length > 1:
            each = np.arange(batch * length) if every else np.arange(batch) * length + lengths - 1
            inputs = Inputs(ids.shape, each)
        logits, buffer = self._results.take(inputs.asked)
        with log_thread_yields():
            self._model.execute(buffer, *inputs.of(ids, past), *self._buffers)
        return logits.reshape(batch, length, -1) if every else logits


def in_caches(config: GPT2Config, dtype: str) -> bool:
    """Whether the weights, as they are, take at most a quarter of the last cache.

    Its neighbours take of it too. From there a core reads faster than it widens narrow weights.
    """
    size = config.parameter_count * np.dtype(STORED[weights_of(dtype)]).itemsize
    return 4 * size <= last_level_cache_bytes()


class Inputs:
    """Memory for what a call reads, as MAX takes it: made once for all steps of decoding.

    Args:
        shape: of the ids, `[batch, sequence]`.
        asked: int64, the states whose logits are wanted, by their place among all rows' tokens.

    Attributes:
        asked: how many these are.
    """

    def __init__(self, shape: tuple[int, ...], asked: Array) -> None:
        self.asked = len(asked)
        self._ids, self._past = np.empty(shape, np.int64), np.empty(shape[0], np.int64)
        self._buffers = [Buffer.from_numpy(array) for array in (self._ids, self._past, asked)]

    def of(self, ids: Array, past: Array) -> list[Buffer]:
        """The buffers, holding ids, past and asked."""
        self._ids[...] = ids
        self._past[...] = past
        return self._buffers


KEPT = 2
"""Results whose memory is kept, where it is small: a loop holds one until it has the next."""

LARGE = 1 << 20
"""Bytes of a result of which one is enough."""


class Results:
    """Memory for logits, used again once the caller has dropped what was returned.

    Fresh memory costs a page fault for each 4 KiB, 10 ms for the logits of 128 tokens of GPT-2.
    """

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self._kept: list[tuple[Array, Buffer]] = []
        self._alone = 0

    def take(self, rows: int) -> tuple[Array, Buffer]:
        """Float32 `[rows, vocab_size]` that nobody else holds, of any content, and MAX's view."""
        for array, buffer in self._kept:
            if len(array) == rows and sys.getrefcount(array.base) <= self._alone:
                return array[:], buffer
        fresh: Array = aligned((rows, self._vocab_size), np.float32)
        kept = fresh, Buffer.from_numpy(fresh)
        # Every view of the memory, and of such a view, refers to the array that owns it.
        self._alone = sys.getrefcount(fresh.base)
        self._kept = [kept, *self._kept[: KEPT - 1]] if fresh.nbytes <= LARGE else [kept]
        return fresh[:], kept[1]


@lru_cache(maxsize=4)
def _compiled(
    config: GPT2Config, device: Device, layout: Layout, form: str, unit: str, kept: str
) -> tuple[Any, Any]:
    """The program, compiled once for all engines of one kind, whatever their weights and batch."""
    library = kernel_library()
    program = trace(config, layout, library, form, unit, kept)
    session = InferenceSession(devices=[device])
    try:
        compiled = compile_announced(
            "the engine of Mojo kernels",
            f"{library.name}{program.mlir_module}",
            lambda: session.compile(program, custom_extensions=[library]),
        )
    except Exception as error:  # MAX raises its own types for what the compiler refuses
        raise KernelError(f"MAX does not compile the kernels: {error}") from error
    return session, compiled


NUMBERS: dict[Activation, int] = {
    "gelu_tanh": 1, "gelu_fast": 2, "gelu": 3, "gelu_quick": 4, "relu": 5, "silu": 6, "tanh": 7,
}  # fmt: skip
"""Activations as `impl/kernels/activation.mojo` numbers them."""


def cache_shapes(config: GPT2Config, batch: int | str) -> list[tuple[Any, ...]]:
    """Keys and values of all layers."""
    layers, heads, slots = config.n_layer, config.n_head, -(-config.n_positions // SLOTS)
    keys = (layers, batch, heads, slots, config.head_dim, SLOTS)
    values = (layers, batch, heads, slots * SLOTS, _head_vectors(config) * VECTOR)
    return [keys, values]


def _head_vectors(config: GPT2Config) -> int:
    return -(-config.head_dim // VECTOR)


def operands(
    config: GPT2Config, weights: Mapping[str, Array], dtype: str, *, narrow: bool = True
) -> list[tuple[str, DType, Array]]:
    """The model's weights in the kernels' layout, in the order of the operation's operands.

    Args:
        config: the model's sizes.
        weights: float32, as `impl.weights.from_hugging_face` lays them out, views among them.
        dtype: of the linear layers and the token embedding; biases, LayerNorms and positions, one
            part in a thousand of the memory, stay float32.
        narrow: whether in fewer bits than the dtype has, where that loses none.

    Returns:
        A name, what MAX calls the dtype, and the array of each. A tied head has no matrix.
    """
    try:
        return _operands(config, weights, dtype, narrow=narrow)
    except TooWideError:
        return _operands(config, weights, dtype, narrow=False)


def _operands(
    config: GPT2Config, weights: Mapping[str, Array], dtype: str, *, narrow: bool
) -> list[tuple[str, DType, Array]]:
    """The operands by name, in the order in which impl/kernels/registry.mojo takes them.

    Of each layer's `attn.c_attn.weight`, say, there is one operand for all layers, `attn.c_attn`,
    followed by its `.scale`, its `.patches` and its `.bias`.
    """
    found: list[tuple[str, DType, Array]] = []

    def add(name: str, array: Array, kind: str = "float32") -> None:
        found.append((name, DType[kind], array))

    def add_matrix(name: str, matrices: Sequence[Array]) -> None:
        matrix: Packed = packed(matrices, dtype, narrow=narrow)
        add(name, matrix.words, matrix.dtype)
        add(name + ".scale", matrix.scale)
        add(name + ".patches", matrix.patches, "int32")

    def add_norm(name: str, gamma: Sequence[Array], beta: Sequence[Array]) -> None:
        add(name + ".weight", _stacked(gamma))
        add(name + ".bias", _stacked(beta))

    def of_all_layers(name: str) -> list[Array]:
        return [weights[f"transformer.h.{layer}.{name}"] for layer in range(config.n_layer)]

    add_matrix("wte", [weights["transformer.wte.weight"]])
    add("wpe", _stacked([weights["transformer.wpe.weight"]])[0])
    add("eps", np.array([config.layer_norm_epsilon], np.float32))
    divisors = [config.attention_divisor(layer) for layer in range(config.n_layer)]
    add("attention_scale", (1 / np.array(divisors)).astype(np.float32))
    for norm, linears in HALVES:
        add_norm(norm, of_all_layers(norm + ".weight"), of_all_layers(norm + ".bias"))
        for name in linears:
            add_matrix(name, of_all_layers(name + ".weight"))
            add(name + ".bias", _stacked(of_all_layers(name + ".bias")))
    add_norm("ln_f", [weights["transformer.ln_f.weight"]], [weights["transformer.ln_f.bias"]])
    if not config.tie_word_embeddings:
        add_matrix("lm_head", [weights["lm_head.weight"]])
    add("lm_head.bias", aligned((1, config.vocab_size), np.float32))  # zeros: GPT-2 has none
    return found


def _stacked(arrays: Sequence[Array]) -> Array:
    stacked = aligned((len(arrays), *arrays[0].shape), np.float32)
    for i, array in enumerate(arrays):
        stacked[i] = array
    return stacked


def trace(
    config: GPT2Config,
    layout: Layout,
    library: Path,
    form: str,
    unit: str = "floats",
    kept: str = "float32",
) -> Program:
    """Token ids `[batch, sequence]` to the logits of the states that are asked for.

    Keys and values are in the dtype `kept`.
    """
    program = Program()
    types = _input_types(config, DType[kept])
    with Graph("engine", input_types=types, custom_extensions=[library], module=program) as traced:
        logits, ids, past, asked, keys, values = traced.inputs
        weights = {
            name: traced.add_weight(Weight(name, dtype, list(shape), CPU))
            for name, shape, dtype in layout
        }
        *order, bias = weights
        # The head's matrix comes before its bias; a tied one is the embedding's, handed over again.
        tied = ["wte", "wte.scale", "wte.patches"] if config.tie_word_embeddings else []
        rows = ids.tensor.shape[0] * ids.tensor.shape[1]
        d = config.n_embd
        widths = {"x": d, "qkv": 3 * d, "mixed": d, "middle": d, "wide": config.inner_dim}
        memory = [TensorType(DType.float32, [rows, width], device=CPU) for width in widths.values()]
        inputs = [logits.buffer, ids, past, asked, keys.buffer, values.buffer]
        operands = [*inputs, *(weights[name] for name in [*order, *tied, bias])]
        parameters = {
            "head_vectors": _head_vectors(config),
            "act": NUMBERS[config.activation],
            "form": FORMS[form],
            "unit": UNITS[unit],
        }
        ops.inplace_custom("engine", CPU, operands, memory, parameters)
        traced.output()
    return program


def _input_types(config: GPT2Config, kept: DType) -> list[TensorType | BufferType]:
    return [
        BufferType(DType.float32, ["asked", config.vocab_size], device=CPU),  # logits
        TensorType(DType.int64, ["batch", "sequence"], device=CPU),  # ids
        TensorType(DType.int64, ["batch"], device=CPU),  # how many tokens each row holds
        TensorType(DType.int64, ["asked"], device=CPU),  # states whose logits are wanted
        *[BufferType(kept, list(shape), device=CPU) for shape in cache_shapes(config, "batch")],
    ]
