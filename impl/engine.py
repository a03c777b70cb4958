"""GPT-2 with a KV cache: each token is computed once.

A row of the batch holds `position` tokens. `prefill` appends any number of tokens to every row (a
prompt, a further part of it, the next turn of a conversation), `decode` one. Rows may hold
different numbers of tokens: row b's token i stands at position `position[b] + i`, in the cache
slot of the same number, and sees the slots up to its own. What padding leaves in later slots is
seen by nobody, and overwritten by the tokens that come.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np

from impl.choosing.kept import fastest_here
from impl.choosing.kernel_choice import CHOICES, choose
from impl.packing import PRODUCTS, weights_of
from impl.precompile import KernelError
from impl.runtime import InputError, check_ids, open_device

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from max.driver import Device

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]

DTYPES = ("float32", "bfloat16", "int8", "bfloat16-products", "bfloat16-cache")
KERNELS = CHOICES


class EngineError(ValueError):
    """An engine that cannot be built as asked, told in one sentence."""


class Program(Protocol):
    """A compiled graph with its weights and its cache."""

    path: str
    weight_bits: int
    weight_bytes: int
    cache_bytes: int

    def forward(self, ids: Array, past: Array, lengths: Array, *, every: bool) -> Array:
        """Append tokens to the cache.

        Args:
            ids: int64 `[batch, sequence]`; in row b the first `lengths[b]` count.
            past: int64 `[batch]`, how many tokens each row holds.
            lengths: int64 `[batch]`, at least 1.
            every: logits of every position, or of each row's last token.

        Returns:
            float32 `[batch, sequence, vocab_size]` or `[batch, vocab_size]`, the caller's own
            copy. Logits of padding mean nothing.
        """

    def resized(self, config: GPT2Config, batch: int) -> Self:
        """The same program and weights, with a cache of its own for so many rows."""


class Engine:
    """A GPT-2 that remembers what it has read; also a `NextToken`.

    Args:
        config: the model's sizes.
        state: float32 arrays by Hugging Face name; none is kept.
        device: `cpu`, `gpu` or `gpu:N`.
        batch: number of rows; memory for `n_positions` tokens of each is taken at once.
        dtype: of the weights of linear layers and the token embedding: `float32`, `bfloat16`, or
            `int8` with a scale for each output. Activations, sums and the cache are float32 in
            each of them. With `bfloat16-products` the weights are bfloat16's, and the activations
            multiplied with them are rounded to it, as PyTorch has them in bfloat16: a prompt is
            1.6 to 1.8 times as fast on a CPU with AVX512_BF16. With `bfloat16-cache` keys and
            values are rounded and kept in it too: half the memory for each token. All but the
            first need the Mojo kernels.
        kernels: `mojo` for this repository's own CPU kernels, `mojo-avx2` and the like for a form
            of them, `stock` for MAX's operations, `auto` for what runs best here, or what
            MAX_GPT2_KERNELS says (impl/choosing/kernel_choice.py).

    Attributes:
        position: int64 `[batch]`, how many tokens each row holds.
        kernel_path: one line that says what runs.

    Raises:
        EngineError: for a dtype, batch or kernels that are not there.
        impl.runtime.DeviceError: if the device is not there.
        impl.weights.WeightsError: if the weights do not fit the configuration.
    """

    def __init__(
        self,
        config: GPT2Config,
        state: Mapping[str, Array],
        device: str = "cpu",
        *,
        batch: int = 1,
        dtype: str = "float32",
        kernels: str = "auto",
    ) -> None:
        _check_choice("dtype", dtype, DTYPES)
        _check_choice("kernels", kernels, KERNELS)
        _check_batch(batch)
        self.config, self.dtype = config, dtype
        self._program = _program(config, state, open_device(device), batch, dtype, kernels)
        self._begin(batch)

    def _begin(self, batch: int) -> None:
        self.batch = batch
        self._tokens = np.zeros((batch, self.config.n_positions), np.int64)
        self._rows, self._ones = np.arange(batch), np.ones(batch, np.int64)
        self.position = np.zeros(batch, np.int64)

    def resized(self, batch: int) -> Engine:
        """An engine for another number of rows, with the same weights and an empty cache.

        Weights are held once for both, and nothing is compiled or packed again.

        Raises:
            EngineError: for a batch below 1.
        """
        _check_batch(batch)
        other = copy(self)
        other._program = self._program.resized(self.config, batch)
        other._begin(batch)
        return other

    @property
    def kernel_path(self) -> str:
        """One line that says what runs."""
        bits = {"float32": 32, "bfloat16": 16, "int8": 8}[weights_of(self.dtype)]
        held = "" if self.weight_bits == bits else f" in {self.weight_bits} bits, none lost"
        weights = ", weights" if held and self.dtype.endswith(PRODUCTS) else ""
        return f"{self._program.path}, {self.dtype}{weights}{held}"

    @property
    def weight_bits(self) -> int:
        """That each weight of a matrix takes: fewer than its dtype has, where none is lost."""
        return self._program.weight_bits

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights; a tied head is held once."""
        return self._program.weight_bytes

    @property
    def cache_bytes(self) -> int:
        """Memory of keys and values, for `n_positions` tokens of every row."""
        return self._program.cache_bytes

    def reset(self) -> None:
        """Forget every token."""
        self.position = np.zeros(self.batch, np.int64)

    def prefill(
        self,
        ids: Array,
        lengths: Array | None = None,
        *,
        logits: Literal["last", "all"] = "last",
    ) -> Array:
        """Append tokens to every row.

        Args:
            ids: integers `[batch, sequence]`.
            lengths: `[batch]`, how many tokens at the beginning of each row count, where the rows
                are padded on the right; all of them by default.
            logits: of each row's last token, or of every position.

        Returns:
            float32 `[batch, vocab_size]` for `last`, `[batch, sequence, vocab_size]` for `all`
            (0 behind a row's end); the caller's own copy.

        Raises:
            impl.runtime.InputError: for ids that the model cannot take, another number of rows,
                lengths that do not fit, or more tokens than the context has room for. Nothing is
                appended then.
        """
        _check_choice("logits", logits, ("last", "all"), InputError)
        tokens = self._checked(ids)
        counts = self._checked_lengths(tokens, lengths)
        every = logits == "all"
        result = self._program.forward(tokens, self.position, counts, every=every)
        for row, (start, count) in enumerate(zip(self.position, counts, strict=True)):
            self._tokens[row, start : start + count] = tokens[row, :count]
            if every:
                result[row, count:] = 0
        self.position = self.position + counts
        return result

    def decode(self, tokens: Array) -> Array:
        """Append one token to every row, and return the logits of the next.

        Args:
            tokens: integers `[batch]`.

        Returns:
            float32 `[batch, vocab_size]`, the caller's own copy.

        Raises:
            impl.runtime.InputError: see `prefill`.
        """
        # As `prefill` does it, in fewer steps: the weights have pushed Python out of the caches, so
        # that each costs ten times what it seems to, together a fortieth of a step of GPT-2.
        column = self._checked(np.asarray(tokens).reshape(-1, 1))
        self._check_room(self.position + 1)
        result = self._program.forward(column, self.position, self._ones, every=False)
        self._tokens[self._rows, self.position] = column[:, 0]
        self.position = self.position + 1
        return result

    def logits(self, ids: Array) -> Array:
        """Scores of the token that follows each row; see `impl.next_token.NextToken.logits`.

        Tokens that all rows hold already, from the beginning on, are not computed again.

        Raises:
            impl.runtime.InputError: see `impl.runtime.check_ids`; for another number of rows.
        """
        whole = check_ids(self.config, ids)
        self._check_rows(whole)
        length = min(whole.shape[1] - 1, int(self.position.min()))  # the last is computed anew
        same = (whole[:, :length] == self._tokens[:, :length]).all(axis=0)
        self.position = np.full(self.batch, length if same.all() else same.argmin(), np.int64)
        return self.prefill(whole[:, self.position[0] :])

    def _checked(self, ids: Array) -> Array:
        tokens = check_ids(self.config, np.asarray(ids))
        self._check_rows(tokens)
        return tokens

    def _check_rows(self, tokens: Array) -> None:
        if len(tokens) != self.batch:
            raise InputError(f"{len(tokens)} rows were given to an engine of {self.batch}")

    def _checked_lengths(self, tokens: Array, lengths: Array | None) -> Array:
        most = tokens.shape[1]
        counts = np.full(self.batch, most, np.int64) if lengths is None else np.asarray(lengths)
        if lengths is not None:
            if counts.shape != (self.batch,) or counts.dtype.kind not in "iu":
                raise InputError(f"lengths must be {self.batch} integers, one for each row")
            if counts.min() < 1 or counts.max() > most:
                raise InputError(f"each of lengths must lie between 1 and {most}, the width of ids")
        self._check_room(self.position + counts)
        return counts.astype(np.int64, copy=False)

    def _check_room(self, ends: Array) -> None:
        if (end := int(ends.max())) > self.config.n_positions:
            raise InputError(
                f"the context is full: {end} tokens are more than the model's "
                f"{self.config.n_positions} positions"
            )


def _program(
    config: GPT2Config,
    state: Mapping[str, Array],
    device: Device,
    batch: int,
    dtype: str,
    kernels: str,
) -> Program:
    """The program that is asked for, or the fastest that runs here."""
    from impl.mojo_program import MojoProgram
    from impl.stock import StockProgram

    program: Program
    try:
        choice = choose(
            kernels, dtype, on_cpu=device.is_host, measured=lambda: fastest_here(config)
        )
    except KernelError as error:
        raise EngineError(str(error)) from error
    reason = choice.reason
    try:
        if choice.kernels == "mojo":
            program = MojoProgram(config, state, device, batch, dtype, form=choice.form)
        else:
            program = StockProgram(config, state, device, batch)
    except KernelError as error:
        if choice.required:
            raise EngineError(str(error)) from error
        program, reason = StockProgram(config, state, device, batch), str(error)
    program.path += f" ({reason})" if reason else ""
    return program


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise EngineError(f"batch must be at least 1, not {batch}")


def _check_choice(
    name: str, value: str, known: tuple[str, ...], error: type[Exception] = EngineError
) -> None:
    if value not in known:
        raise error(f"{name} is {' or '.join(known)}, not {value!r}")
