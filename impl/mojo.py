"""The engine's graph of this repository's own Mojo kernels, for the CPU.

One operation a layer, so that the cores part and meet once in it. Weights are packed once when they
are loaded, and a tied head is the embedding's own memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import BufferType, DeviceRef, Graph, TensorType, Weight, ops
from max.graph import Module as Program

from impl.interrupt import interruptible
from impl.packing import aligned, bfloat16_bits, integers, panels, scales
from impl.precompile import KernelError, kernel_library
from impl.weights import from_hugging_face

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    from max.driver import Device

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]

Layout = tuple[tuple[str, tuple[int, ...], DType], ...]
"""Name, shape and dtype of every weight of a program."""

NAME = "Mojo kernels"
CPU = DeviceRef.CPU()
VECTOR = 16
SCALE = ".scale"
SLOTS = 32  # positions of a panel of keys, as in impl/kernels/attention.mojo


class MojoProgram:
    """A compiled engine of Mojo kernels, with its weights and its cache.

    Attributes:
        path: what runs, in a few words.
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
    ) -> None:
        # MAX reads the weights where they are: this object keeps them alive and unchanged.
        self._weights = packed(config, from_hugging_face(config, state, contiguous=False), dtype)
        held = {name: _buffer(array) for name, array in self._weights.items()}
        layout = tuple((name, array.shape, _dtype(array)) for name, array in self._weights.items())
        session, compiled = _compiled(config, device, layout)
        self._model = session.init_all(compiled, weights_registry=held)["engine"]
        self._cache = [aligned(shape, np.float32) for shape in cache_shapes(config, batch)]
        self._buffers = [Buffer.from_numpy(array) for array in self._cache]
        self.path = NAME
        self.weight_bytes = sum(array.nbytes for array in self._weights.values())
        self.cache_bytes = sum(array.nbytes for array in self._cache)

    def forward(self, ids: Array, past: Array, lengths: Array, *, every: bool) -> Array:
        """Append tokens to the cache; see `impl.engine.Program.forward`."""
        batch, length = ids.shape
        asked = np.arange(batch * length) if every else np.arange(batch) * length + lengths - 1
        inputs = [Buffer.from_numpy(np.ascontiguousarray(array)) for array in (ids, past, asked)]
        (logits,) = self._model.execute(*inputs, *self._buffers)
        # MAX makes a new buffer for each result, which the array keeps alive: it is the caller's.
        result: Array = logits.to_numpy()
        return result.reshape(batch, length, -1) if every else result


@lru_cache(maxsize=4)
def _compiled(config: GPT2Config, device: Device, layout: Layout) -> tuple[Any, Any]:
    """The program, compiled once for all engines of one kind, whatever their weights and batch."""
    library = kernel_library()
    program = trace(config, layout, library)
    session = InferenceSession(devices=[device])
    try:
        compiled = interruptible(lambda: session.compile(program, custom_extensions=[library]))
    except Exception as error:  # MAX raises its own types for what the compiler refuses
        raise KernelError(f"MAX does not compile the kernels: {error}") from error
    return session, compiled


def cache_shapes(config: GPT2Config, batch: int | str) -> list[tuple[Any, ...]]:
    """Keys and values of each layer in turn."""
    slots = -(-config.n_positions // SLOTS)
    keys = (batch, config.n_head, slots, config.head_dim, SLOTS)
    values = (batch, config.n_head, slots * SLOTS, _head_vectors(config) * VECTOR)
    return [keys, values] * config.n_layer


def _head_vectors(config: GPT2Config) -> int:
    return -(-config.head_dim // VECTOR)


def packed(config: GPT2Config, weights: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """The model's weights in the kernels' layout, by the same names.

    Args:
        config: the model's sizes.
        weights: float32, as `impl.weights.from_hugging_face` lays them out, views among them.
        dtype: of the linear layers and the token embedding; biases, LayerNorms and positions, one
            part in a thousand of the memory, stay float32.

    Returns:
        Also a vector `NAME.scale` for each 8-bit weight `NAME`.
    """
    tied = config.tie_word_embeddings
    laid_out: dict[str, Array] = {}
    for name, array in weights.items():
        if tied and name == "lm_head.weight":
            continue
        if array.ndim == 2 and not name.endswith("wpe.weight"):
            laid_out |= _stored(name, array, dtype)
        else:
            laid_out[name] = _copied(array)
    laid_out["no_bias"] = aligned((config.vocab_size,), np.float32)
    return laid_out


def _stored(name: str, array: Array, dtype: str) -> dict[str, Array]:
    if dtype == "int8":
        scale = scales(array)
        steps = panels(array, np.int8, lambda rows, place: integers(rows, scale[place]))
        return {name: steps, name + SCALE: _copied(scale)}
    if dtype == "bfloat16":
        return {name: panels(array, np.uint16, lambda rows, _: bfloat16_bits(rows))}
    return {name: panels(array)}


def _copied(array: Array) -> Array:
    copy = aligned(array.shape, array.dtype)
    copy[:] = array
    return copy


def _dtype(array: Array) -> DType:
    """What MAX calls it: numpy has no bfloat16, and lends it uint16."""
    return DType.bfloat16 if array.dtype == np.uint16 else DType.from_numpy(array.dtype)


def _buffer(array: Array) -> Buffer:
    return Buffer.from_numpy(array).view(_dtype(array))


def trace(config: GPT2Config, layout: Layout, library: Path) -> Program:
    """Token ids `[batch, sequence]` to the logits of the states that are asked for."""
    program = Program()
    types = _input_types(config)
    with Graph("engine", input_types=types, custom_extensions=[library], module=program) as traced:
        ids, past, asked, *caches = traced.inputs
        layers = _Layers(config, traced, layout, past)
        x = layers.embed(ids)
        for layer in range(config.n_layer):
            x = layers.layer(f"transformer.h.{layer}.", x, caches[2 * layer : 2 * layer + 2])
        traced.output(layers.head(ops.gather(x, asked.tensor, 0)))
    return program


def _input_types(config: GPT2Config) -> list[TensorType | BufferType]:
    return [
        TensorType(DType.int64, ["batch", "sequence"], device=CPU),  # ids
        TensorType(DType.int64, ["batch"], device=CPU),  # how many tokens each row holds
        TensorType(DType.int64, ["asked"], device=CPU),  # states whose logits are wanted
        *[
            BufferType(DType.float32, list(shape), device=CPU)
            for shape in cache_shapes(config, "batch")
        ],
    ]


class _Layers:
    """The operations of one graph, over the weights by name."""

    def __init__(self, config: GPT2Config, traced: Graph, layout: Layout, past: Any) -> None:
        self._config, self._past = config, past
        self._weights = {
            name: traced.add_weight(Weight(name, dtype, list(shape), CPU))
            for name, shape, dtype in layout
        }
        self._eps = _constant([config.layer_norm_epsilon], DType.float32)
        self._no_scale = _constant([1.0], DType.float32)

    def embed(self, ids: Any) -> Any:
        config, w = self._config, self._weights
        batch, length = ids.tensor.shape
        values = [
            *(ids, self._past, *self._linear("transformer.wte", "no_bias")[:2]),
            *(w["transformer.wpe.weight"], _constant([config.vocab_size], DType.int64)),
        ]
        return self._op("engine_embedding", values, [batch * length, config.n_embd])

    def layer(self, name: str, x: Any, cache: list[Any]) -> Any:
        """The residual stream `[tokens, D]` behind a layer; its tokens go into the cache."""
        config = self._config
        values = [
            *(x, *(entry.buffer for entry in cache), self._past, self._eps),
            *(*self._norm(name + "ln_1"), *self._linear(name + "attn.c_attn")),
            *self._linear(name + "attn.c_proj"),
            *(*self._norm(name + "ln_2"), *self._linear(name + "mlp.c_fc")),
            *self._linear(name + "mlp.c_proj"),
        ]
        # The result, then query, key and value, their mixture, the first residual, and the MLP's
        # inside, which the graph's own memory holds.
        widths = [config.n_embd * n for n in (1, 3, 1, 1)] + [config.inner_dim]
        shapes = [TensorType(DType.float32, [x.shape[0], n], device=CPU) for n in widths]
        parameters = {"head_vectors": _head_vectors(config)}
        return ops.inplace_custom("engine_layer", CPU, values, shapes, parameters)[0].tensor

    def head(self, x: Any) -> Any:
        """Logits of states `[rows, D]`."""
        name = "transformer.wte" if self._config.tie_word_embeddings else "lm_head"
        values = [x, *self._norm("transformer.ln_f"), self._eps, *self._linear(name, "no_bias")]
        return self._op("engine_head", values, [x.shape[0], self._config.vocab_size])

    def _norm(self, name: str) -> tuple[Any, Any]:
        return self._weights[name + ".weight"], self._weights[name + ".bias"]

    def _linear(self, name: str, bias: str = "") -> tuple[Any, Any, Any]:
        """A layer's weight, the scale that 8-bit weights have, and its bias."""
        weights, name_of_weight = self._weights, name + ".weight"
        scale = weights.get(name_of_weight + SCALE, self._no_scale)
        return weights[name_of_weight], scale, weights[bias or name + ".bias"]

    @staticmethod
    def _op(name: str, values: list[Any], shape: Any, parameters: Any = None) -> Any:
        kind = TensorType(DType.float32, shape, device=CPU)
        return ops.custom(name, CPU, values, [kind], parameters)[0].tensor


def _constant(values: list[Any], dtype: DType) -> Any:
    return ops.constant(np.array(values, dtype.to_numpy()), dtype, device=CPU)
