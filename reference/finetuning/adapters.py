"""LoRA by peft: two thin matrices beside a frozen one, and the whole model that they come to.

    y = x W + (alpha / r) (x A) B        W [in, out] is frozen; A [in, r] and B [r, out] are trained
    W' = W + (alpha / r) A B             merged: an ordinary GPT-2 again

B begins at zero, so that training begins at the model as it was. Merging is done in float64 and
rounded once.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from reference.checkpoint import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from impl.config import GPT2Config
    from reference.finetuning.settings import Settings

ADAPTER = "adapter"
"""The folder of a checkpoint that has the adapter alone, as peft saves it."""

MOST = 1e-12
"""How far logits of the merged model may be from the adapted one's in float64, of the largest.

Sums of a few hundred terms in another order: float64's unit roundoff of 1.1e-16 leaves 1e-14 or so.
An adapter that is wrongly scaled, transposed or left out is off by more than 1e-6."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How far the merged model is from the adapted one, over the logits of a window.

    Attributes:
        float64: the largest difference where both are computed in float64.
        float32: between the merged weights as they are saved, rounded to float32, and the adapted
            model, both computed in float64.
        largest: of the adapted model's logits, for scale.
    """

    float64: float
    float32: float
    largest: float

    @property
    def same(self) -> bool:
        """Whether they are the same model."""
        return self.float64 <= MOST * self.largest

    def record(self) -> dict[str, Any]:
        """As `training.json` has it."""
        return {**asdict(self), "same": self.same}


def check_rank(settings: Settings, config: GPT2Config) -> None:
    """Say what is wrong with the adapters that are asked for, before anything is loaded.

    Raises:
        CheckpointError: for a rank that is too large; where peft is not installed.
    """
    if settings.lora is None:
        return
    if settings.lora > config.n_embd:
        raise CheckpointError(
            f"--lora {settings.lora} is too large: matrices of {settings.model} have a rank of "
            f"{config.n_embd} at most"
        )
    if find_spec("peft") is None:
        raise CheckpointError("--lora needs peft: pip install -r requirements-train.txt")


def with_adapters(model: Any, settings: Settings, base: str) -> Any:
    """The model with adapters, everything else frozen.

    Args:
        model: a GPT2LMHeadModel; it is changed.
        settings: rank, scale and places.
        base: where transformers finds the model that the adapters belong to.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.lora,
        lora_alpha=settings.alpha,  # peft says int, and only divides it by the rank
        target_modules=list(settings.lora_targets),
        lora_dropout=settings.dropout,
        fan_in_fan_out=True,  # Conv1D holds [in, out]
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base  # peft has put the model's there
    return adapted


def merged_of(adapted: Any) -> Any:
    """The GPT2LMHeadModel that an adapted model comes to, in float64; the model stays as it is."""
    return copy.deepcopy(adapted).double().merge_and_unload()


@torch.no_grad()
def compared(adapted: Any, merged: Any, ids: torch.Tensor) -> Merged:
    """How far a merged model is from the adapted one.

    Args:
        adapted: with adapters.
        merged: as `merged_of` gives it.
        ids: token ids, int64 `[batch, sequence]`.
    """
    truth = copy.deepcopy(adapted).double().eval()(input_ids=ids, use_cache=False).logits
    whole = merged.eval()(input_ids=ids, use_cache=False).logits
    saved = copy.deepcopy(merged).float().double()(input_ids=ids, use_cache=False).logits
    return Merged(
        float64=(whole - truth).abs().max().item(),
        float32=(saved - truth).abs().max().item(),
        largest=truth.abs().max().item(),
    )


def save_adapter(adapted: Any, folder: Path) -> None:
    """Write the adapter alone, as `PeftModel.from_pretrained` reads it."""
    from safetensors.torch import save_file

    folder.mkdir()
    adapted.peft_config["default"].save_pretrained(folder)
    state = {name: tensor.contiguous() for name, tensor in adapter_state(adapted).items()}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def adapter_state(adapted: Any) -> dict[str, torch.Tensor]:
    """The adapter's own parameters, by peft's names."""
    from peft import get_peft_model_state_dict

    state: dict[str, torch.Tensor] = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return state


def set_adapter_state(adapted: Any, state: dict[str, torch.Tensor]) -> None:
    """Put an adapter's parameters back."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(adapted, state)
