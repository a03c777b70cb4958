"""Devices, and a GPT-2 compiled for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import CPU, Accelerator, Buffer, Device, accelerator_count
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.tensor import default_device, default_dtype
from max.graph import TensorType

from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from impl.model import GPT2LMHeadModel
from impl.weights import from_hugging_face

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from impl.config import GPT2Config

    Array = npt.NDArray[Any]

NO_ACCELERATOR = "MAX finds no accelerator on this machine"


class InputError(ValueError):
    """Token ids that the model cannot take, told in one sentence."""


class DeviceError(RuntimeError):
    """A device that this machine has not, told in one sentence."""


def device_names() -> list[str]:
    """The devices of this machine: `cpu`, then `gpu` (or `gpu:0`, `gpu:1`, ... if several)."""
    count = accelerator_count()
    gpus = ["gpu"] if count == 1 else [f"gpu:{index}" for index in range(count)]
    return ["cpu", *gpus]


def check_device(name: str) -> None:
    """Raise DeviceError for an unknown name, or a device that is not there."""
    kind, colon, index = name.partition(":")
    if name == "cpu":
        return
    if kind != "gpu" or (colon and not index.isdecimal()):
        raise DeviceError(f"unknown device {name!r}; choose cpu, gpu or gpu:N")
    if int(index or 0) >= accelerator_count():
        found = f"this machine has {', '.join(device_names())}" if accelerator_count() else ""
        raise DeviceError(f"{name}: {found or NO_ACCELERATOR}")


def open_device(name: str) -> Device:
    """The MAX device called `cpu`, `gpu` or `gpu:N`.

    Raises:
        DeviceError: see `check_device`.
    """
    check_device(name)
    return CPU() if name == "cpu" else Accelerator(int(name.partition(":")[2] or 0))


def build(
    config: GPT2Config,
    device: Device,
    dtype: DType = DType.float32,
    factory: Callable[[GPT2Config], Any] | None = None,
) -> Any:
    """The model's tree of modules, without values: nothing is computed and no memory is taken.

    Args:
        config: the model's sizes.
        device: where its parameters belong.
        dtype: of its parameters.
        factory: makes another model than `GPT2LMHeadModel` from the configuration.
    """
    with default_device(device), default_dtype(dtype), F.lazy():
        model = (factory or GPT2LMHeadModel)(config)
    # Its parameters were made on `device`. `model.to(device)` would make them anew one by one, and
    # a tied head would be a second parameter, with the table copied to an accelerator twice.
    model.device = device
    return model


def input_type(device: Device) -> TensorType:
    """Token ids: int64, symbolic batch and length, so that one program serves every shape."""
    return TensorType(DType.int64, ["batch", "sequence"], device=device)


def check_ids(config: GPT2Config, ids: Array) -> Array:
    """Return `ids` as contiguous int64 `[batch, sequence]`, or say what is wrong with them.

    MAX reads ids in [-vocab_size, -1] from the end of the table without a word.

    Raises:
        InputError: for a wrong rank or dtype, no token, too many tokens, or an id out of range.
    """
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise InputError(
            f"token ids must be integers of shape [batch, sequence], "
            f"not {ids.dtype} of shape {list(ids.shape)}"
        )
    if ids.size == 0:
        raise InputError("the prompt is empty: the model needs at least one token")
    if ids.shape[1] > config.n_positions:
        raise InputError(
            f"{ids.shape[1]} tokens are more than the model's {config.n_positions} positions"
        )
    checked = np.ascontiguousarray(ids, dtype=np.int64)
    if checked.view(np.uint64).max() >= config.vocab_size:  # so is every negative one
        low, high = int(ids.min()), int(ids.max())
        wrong = low if low < 0 else high
        raise InputError(
            f"token id {wrong} is outside the vocabulary, 0 to {config.vocab_size - 1}"
        )
    return checked


class CompiledGPT2:
    """A GPT-2 compiled by MAX: token ids in, logits out, both numpy on the host.

    Compiling takes about a minute the first time and seconds once MAX's cache holds the program.
    """

    def __init__(self, config: GPT2Config, state: Mapping[str, Array], device: str = "cpu") -> None:
        """Compile for `device` with the weights of a Hugging Face state dict.

        Raises:
            DeviceError: if the device is not there.
            impl.weights.WeightsError: if the weights do not fit the configuration.
        """
        self.config = config
        self.device = open_device(device)
        # MAX reads the weights where they are: this object keeps them alive and unchanged.
        self._weights = from_hugging_face(config, state)
        model = build(config, self.device)
        self._run = compile_announced(
            "the model",
            f"{config} {self.device}",
            lambda: model.compile(input_type(self.device), weights=self._weights),
        )

    def __call__(self, ids: Array) -> Array:
        """Logits of every position.

        Args:
            ids: integers `[batch, sequence]`.

        Returns:
            float32 `[batch, sequence, vocab_size]`, the caller's own copy.

        Raises:
            InputError: see `check_ids`.
        """
        tokens = Buffer.from_numpy(check_ids(self.config, ids)).to(self.device)
        with log_thread_yields(on_host=self.device.is_host):
            (logits,) = self._run.execute_raw(tokens)
        result: Array = logits.to_numpy()
        return result.copy()


def to_device(ids: Sequence[int] | Array, device: Device) -> Buffer:
    """Token ids as an int64 tensor on a MAX device, of the same shape; one row for a flat list."""
    array = np.ascontiguousarray(np.atleast_2d(ids), dtype=np.int64)
    return Buffer.from_numpy(array).to(device)
