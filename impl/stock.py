"""The engine's graph in MAX's own operations: any device, no kernel to build.

One graph serves prefill and decode, since batch and length are symbolic. Keys and values of the
tokens so far lie in one buffer each per layer, and new ones are stored in place. All rows of one
call hold equally many tokens; the engine calls once for each group of equal rows.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import BufferType, DeviceRef, Graph, TensorType, Weight, ops
from max.graph import Module as Program

from impl.choosing.kernel_choice import path_of
from impl.compiling import compile_announced
from impl.config import GELU_CUBE, GELU_SLOPES
from impl.log_thread import log_thread_yields
from impl.weights import expected_shapes, from_hugging_face

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt
    from max.driver import Device

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]


class StockProgram:
    """A compiled engine of stock operations, with its weights and its cache.

    Attributes:
        path: what runs, in a few words.
        weight_bits: that each weight takes.
        weight_bytes: held by the weights, a tied head once.
        cache_bytes: held by keys and values.
    """

    def __init__(
        self, config: GPT2Config, state: Mapping[str, Array], device: Device, batch: int
    ) -> None:
        self._device = device
        # MAX reads the weights where they are: this object keeps them alive and unchanged.
        self._weights = from_hugging_face(config, state)
        if config.tie_word_embeddings:
            del self._weights["lm_head.weight"]
        held = {name: Buffer.from_numpy(array).to(device) for name, array in self._weights.items()}
        session, compiled = _compiled(config, device)
        self._model = session.init_all(compiled, weights_registry=held)["engine"]
        self.path, self.weight_bits = path_of("stock"), 32
        self.weight_bytes = sum(array.nbytes for array in self._weights.values())
        self._take_cache(config, batch)

    def _take_cache(self, config: GPT2Config, batch: int) -> None:
        shape = (batch, config.n_head, config.n_positions, config.head_dim)
        zeros = np.zeros(shape, np.float32)
        self._cache = [
            Buffer.from_numpy(zeros.copy()).to(self._device) for _ in range(2 * config.n_layer)
        ]
        self.cache_bytes = len(self._cache) * zeros.nbytes

    def resized(self, config: GPT2Config, batch: int) -> StockProgram:
        """The same program and weights with a cache of its own; see `impl.engine.Program`."""
        other = copy(self)
        other._take_cache(config, batch)
        return other

    def forward(self, ids: Array, past: Array, lengths: Array, *, every: bool) -> Array:
        """Append tokens to the cache; see `impl.engine.Program.forward`."""
        shape = (*ids.shape, -1) if every else (len(ids), -1)
        parts = [
            self._forward(ids[rows, :length], rows, int(past[rows][0]), every=every)
            for rows, length in _equal_rows(past, lengths)
        ]
        if not every or len(parts) == 1:
            return np.concatenate(parts) if len(parts) > 1 else parts[0].reshape(shape)
        logits = np.zeros((*ids.shape, parts[0].shape[-1]), np.float32)
        for (rows, length), part in zip(_equal_rows(past, lengths), parts, strict=True):
            logits[rows, :length] = part.reshape(-1, length, part.shape[-1])
        return logits

    def _forward(self, ids: Array, rows: slice, past: int, *, every: bool) -> Array:
        """Logits `[states, vocab_size]` of neighbouring rows that hold `past` tokens each."""
        batch, length = ids.shape
        end = past + length
        asked = np.arange(batch * length) if every else np.arange(1, batch + 1) * length - 1
        span = Buffer.from_numpy(np.array([rows.start, rows.stop, past, end], np.int64))
        inputs = (ids, np.arange(past, end), future_mask(past, end), asked)
        buffers = [Buffer.from_numpy(np.ascontiguousarray(array)) for array in inputs]
        moved = [buffer.to(self._device) for buffer in buffers]
        with log_thread_yields(on_host=self._device.is_host):
            (logits,) = self._model.execute(*moved, span, *self._cache)
        result: Array = logits.to_numpy()
        return result.copy()


@lru_cache(maxsize=4)
def _compiled(config: GPT2Config, device: Device) -> tuple[Any, Any]:
    """The program, compiled once for all engines of one kind, whatever their weights and batch."""
    program = trace(config, device)
    session = InferenceSession(devices=[device])
    compiled = compile_announced(
        "the engine of stock operations",
        str(program.mlir_module),
        lambda: session.compile(program),
    )
    return session, compiled


def _equal_rows(past: Array, lengths: Array) -> Iterator[tuple[slice, int]]:
    """Neighbouring rows that hold equally many tokens and take equally many."""
    pairs = list(zip(past.tolist(), lengths.tolist(), strict=True))
    for (_, length), group in groupby(range(len(pairs)), key=lambda row: pairs[row]):
        rows = list(group)
        yield slice(rows[0], rows[-1] + 1), length


def future_mask(past: int, end: int) -> Array:
    """What is added to the scores of tokens `past` to `end` over keys 0 to `end`.

    It is an input, since MAX 26.7 can drop a mask that the graph makes by comparing positions.
    """
    mask = np.full((end - past, end), -np.inf, np.float32)
    return np.triu(mask, k=past + 1)


def trace(config: GPT2Config, device: Device) -> Program:
    """Token ids `[batch, sequence]` to the logits of the states that are asked for."""
    where, program = DeviceRef.from_device(device), Program()
    with Graph("engine", input_types=_input_types(config, where), module=program) as traced:
        ids, positions, mask, asked, span, *caches = traced.inputs
        weights = _weights(config, traced, where)
        wte, wpe = weights["transformer.wte.weight"], weights["transformer.wpe.weight"]
        x = ops.gather(wte, ids.tensor, 0) + ops.gather(wpe, positions.tensor, 0)  # [B, S, D]
        place = _Place(span.tensor, mask.tensor, ids.tensor.shape)
        for layer in range(config.n_layer):
            cache = caches[2 * layer].buffer, caches[2 * layer + 1].buffer
            x = _block(config, weights, layer, x, cache, place)
        states = ops.gather(x.reshape([-1, config.n_embd]), asked.tensor, 0)  # [rows, D]
        states = _layer_norm(config, weights, "transformer.ln_f", states)
        head = wte if config.tie_word_embeddings else weights["lm_head.weight"]
        traced.output(states @ ops.transpose(head, 0, 1))  # [rows, vocab_size]
    return program


def _input_types(config: GPT2Config, device: DeviceRef) -> list[TensorType | BufferType]:
    ints, floats = DType.int64, DType.float32
    shape = ["rows_held", config.n_head, config.n_positions, config.head_dim]
    return [
        TensorType(ints, ["batch", "sequence"], device=device),  # ids
        TensorType(ints, ["sequence"], device=device),  # their positions
        TensorType(floats, ["sequence", "context"], device=device),  # mask
        TensorType(ints, ["asked"], device=device),  # states whose logits are wanted
        TensorType(ints, [4], device=DeviceRef.CPU()),  # first row, last row, past, end
        *[BufferType(floats, shape, device=device) for _ in range(2 * config.n_layer)],
    ]


def _weights(config: GPT2Config, traced: Graph, device: DeviceRef) -> dict[str, Any]:
    shapes = expected_shapes(config)
    return {
        name: traced.add_weight(Weight(name, DType.float32, list(shape), device))
        for name, shape in shapes.items()
    }


class _Place:
    """Where in the cache the new tokens go."""

    def __init__(self, span: Any, mask: Any, shape: Any) -> None:
        self.batch, self.length = shape
        self.mask = mask
        self.first, self.last, self.past, self.end = (span[index] for index in range(4))

    def store(self, buffer: Any, new: Any) -> Any:
        """Store `[B, H, S, K]` in place, and return `[B, H, context, K]`, old and new."""
        rows = (slice(self.first, self.last), self.batch)
        every = slice(None)
        slots = (slice(self.past, self.end), self.length)
        ops.buffer_store_slice(buffer, new, [rows, every, slots, every])
        held = (slice(0, self.end), self.mask.shape[1])
        return ops.slice_tensor(ops.buffer_load(buffer), [rows, every, held, every])


def _block(
    config: GPT2Config, weights: Mapping[str, Any], layer: int, x: Any, cache: Any, place: _Place
) -> Any:
    name = f"transformer.h.{layer}."
    states = _layer_norm(config, weights, name + "ln_1", x)
    x = x + _attention(config, weights, layer, states, cache, place)
    states = _layer_norm(config, weights, name + "ln_2", x)
    wide = _activation(config, _linear(weights, name + "mlp.c_fc", states))
    return x + _linear(weights, name + "mlp.c_proj", wide)


def _attention(
    config: GPT2Config, weights: Mapping[str, Any], layer: int, x: Any, cache: Any, place: _Place
) -> Any:
    name = f"transformer.h.{layer}.attn."
    fused = _linear(weights, name + "c_attn", x)  # [B, S, 3D]
    heads = fused.reshape([place.batch, place.length, 3, config.n_head, config.head_dim])
    query, key, value = (ops.permute(heads[:, :, i], [0, 2, 1, 3]) for i in range(3))
    keys, values = place.store(cache[0], key), place.store(cache[1], value)  # [B, H, context, K]
    scores = query @ ops.transpose(keys, 2, 3) / config.attention_divisor(layer) + place.mask
    mixed = ops.permute(ops.softmax(scores) @ values, [0, 2, 1, 3])  # [B, S, H, K]
    merged = mixed.reshape([place.batch, place.length, config.n_embd])
    return _linear(weights, name + "c_proj", merged)


def _activation(config: GPT2Config, x: Any) -> Any:
    match config.activation:
        case "gelu_tanh":
            return ops.gelu(x, approximate="tanh")
        case "gelu_fast":
            bent = ops.tanh(GELU_SLOPES[config.activation] * (x + GELU_CUBE * x * x * x))
            return 0.5 * x * (1 + bent)
        case "gelu":
            return ops.gelu(x, approximate="none")
        case "gelu_quick":
            return ops.gelu(x, approximate="quick")
        case "relu":
            return ops.relu(x)
        case "silu":
            return ops.silu(x)
        case "tanh":
            return ops.tanh(x)


def _linear(weights: Mapping[str, Any], name: str, x: Any) -> Any:
    return x @ ops.transpose(weights[name + ".weight"], 0, 1) + weights[name + ".bias"]


def _layer_norm(config: GPT2Config, weights: Mapping[str, Any], name: str, x: Any) -> Any:
    gamma, beta = weights[name + ".weight"], weights[name + ".bias"]
    return ops.layer_norm(x, gamma, beta, config.layer_norm_epsilon)
