"""What generation needs of a model: the logits that follow a row of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from max.experimental.nn import Module
from max.experimental.tensor import Tensor

from impl.compiling import compile_announced
from impl.log_thread import log_thread_yields
from impl.runtime import build, check_ids, input_type, open_device, to_device
from impl.weights import from_hugging_face

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from impl.config import GPT2Config
    from impl.model import GPT2LMHeadModel

    Array = npt.NDArray[Any]


class NextToken(Protocol):
    """Anything that continues token ids."""

    @property
    def config(self) -> GPT2Config:
        """The model's sizes."""

    def logits(self, ids: Array) -> Array:
        """Scores of the token that follows each row.

        Generation calls this with the ids of the call before and one more column. An engine with
        a cache can therefore compute the last column alone, after checking that this is so.

        Args:
            ids: integers `[batch, sequence]`, without padding.

        Returns:
            float32 `[batch, vocab_size]`, the caller's own copy.
        """


class LastPosition(Module[[Tensor], Tensor]):
    """A GPT-2 whose head sees the last position only: ids `[B, S]` to logits `[B, vocab_size]`."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        """Compute every position's state, and the logits of the last."""
        states = self.model.transformer(input_ids)  # [B, S, D]
        logits: Tensor = self.model.lm_head(states[:, -1, :])  # [B, D] -> [B, vocab_size]
        return logits


class WholeSequence:
    """A `NextToken` that computes the whole sequence anew for every token."""

    def __init__(self, config: GPT2Config, state: Mapping[str, Array], device: str = "cpu") -> None:
        """Compile for `device` with the weights of a Hugging Face state dict.

        Raises:
            impl.runtime.DeviceError: if the device is not there.
            impl.weights.WeightsError: if the weights do not fit the configuration.
        """
        self.config = config
        self.device = open_device(device)
        # The wrapped model's parameters have the wrapper's attribute before their names. MAX reads
        # the weights where they are: this object keeps them alive and unchanged.
        self._weights = {
            f"model.{name}": array for name, array in from_hugging_face(config, state).items()
        }
        model = LastPosition(build(config, self.device))
        self._run = compile_announced(
            "the model without a cache",
            f"last position {config} {self.device}",
            lambda: model.compile(input_type(self.device), weights=self._weights),
        )

    def logits(self, ids: Array) -> Array:
        """Scores of the token that follows each row; see `NextToken.logits`.

        Raises:
            impl.runtime.InputError: see `impl.runtime.check_ids`.
        """
        tokens = to_device(check_ids(self.config, ids), self.device)
        with log_thread_yields(on_host=self.device.is_host):
            (logits,) = self._run.execute_raw(tokens)
        result: Array = logits.to_numpy()
        return result.copy()
