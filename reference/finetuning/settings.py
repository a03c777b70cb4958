"""What a fine-tuning was asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

TARGETS = ("c_attn", "c_proj", "c_fc")
"""The linear layers of a GPT-2, by the last part of Hugging Face's names; `c_proj` is two."""

EVALUATIONS_PER_CHECKPOINT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to fine-tune.

    Attributes:
        model: `tiny`, `random:PRESET`, a folder or a hub id.
        revision: branch, tag or commit on the hub.
        text: the file with the text.
        lora: the rank of the adapters; None trains every parameter.
        lora_alpha: an adapter's product is multiplied by this over the rank.
        lora_targets: the layers that have adapters.
        steps: updates of the weights.
        batch_size: windows of each.
        length: tokens that a window predicts.
        learning_rate: at its peak.
        warm_up: share of the steps in which it rises; then it falls, as half a cosine, to 0.
        dropout: probability, of all dropouts of the model and of the adapters.
        held_out: share of the text that is not trained on.
        checkpoints: how many are kept besides the model as it was.
        seed: draws windows, adapters, dropout and samples.
        threads: of PyTorch.
        prompt: of the samples; None takes the first words of the held-out text.
        sample_tokens: the length of a sample's continuation.
    """

    model: str
    text: str
    revision: str | None = None
    lora: int | None = None
    lora_alpha: float | None = None
    lora_targets: tuple[str, ...] = TARGETS
    steps: int = 200
    batch_size: int = 8
    length: int | None = None
    learning_rate: float | None = None
    warm_up: float = 0.1
    dropout: float = 0.0
    held_out: float = 0.1
    checkpoints: int = 5
    seed: int = 0
    threads: int | None = None
    prompt: str | None = None
    sample_tokens: int = 60

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From a record or an argparse namespace's values; others than these are left out."""
        known = {field.name for field in fields(cls)}
        own = {name: value for name, value in values.items() if name in known}
        own["lora_targets"] = tuple(own.get("lora_targets") or TARGETS)
        return cls(**own)

    def record(self) -> dict[str, Any]:
        """As `training.json` has it."""
        return {**asdict(self), "lora_targets": list(self.lora_targets)}

    @property
    def alpha(self) -> float:
        """`lora_alpha`, or twice the rank."""
        return 2.0 * (self.lora or 0) if self.lora_alpha is None else self.lora_alpha

    @property
    def peak(self) -> float:
        """`learning_rate`, or what fits what is trained: adapters begin at zero and take more."""
        if self.learning_rate is not None:
            return self.learning_rate
        return FULL_RATE if self.lora is None else LORA_RATE

    def checkpoint_steps(self) -> list[int]:
        """The steps after which a checkpoint is kept: 0, the model as it was, and the last."""
        count = min(self.checkpoints, self.steps)
        return sorted({round(self.steps * index / count) for index in range(count + 1)})

    def evaluation_steps(self) -> list[int]:
        """The steps after which the validation loss is taken, those of the checkpoints included."""
        count = min(self.checkpoints * EVALUATIONS_PER_CHECKPOINT, self.steps)
        own = {round(self.steps * index / count) for index in range(count + 1)}
        return sorted(own | set(self.checkpoint_steps()))


FULL_RATE, LORA_RATE = 5e-4, 2e-3
"""Peak learning rates where none is named."""
