"""The loop of a fine-tuning: steps, evaluations, checkpoints, samples.

    rate(t) = peak * min(1, (t + 1) / w) * (1 + cos(pi (t - w) / (T - w))) / 2     t from 0 to T - 1

w is the warm-up's number of steps, and the cosine is 1 during it. What is random in a step is drawn
from the seed and the step's number alone, so that a fine-tuning that was interrupted and continued
gives the weights of one that was not, bit for bit.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from reference.checkpoint import CheckpointError
from reference.finetuning import adapters
from reference.finetuning.kept import Point, Record, write_checkpoint, write_result
from reference.train import make_optimizer, mean_loss, update

if TYPE_CHECKING:
    from pathlib import Path

    from reference.checkpoint import Checkpoint
    from reference.finetuning.settings import Settings
    from reference.finetuning.told import Told

EVALUATION_TOKENS = 8192
"""Of each held-out text, from its beginning, for the losses on the way."""

TEMPERATURE, TOP_K = 0.8, 40
"""Of the samples."""


class Tuning:
    """A fine-tuning under way.

    Args:
        source: the checkpoint that it began with.
        model: as it is trained: a GPT2LMHeadModel, with adapters perhaps.
        tokenizer: transformers'.
        training: token ids to train on, int64 `[tokens]`.
        validation: held out, likewise.
        former: held out when the source was trained, likewise; None where that is not known.
        length: tokens that a window predicts.
        record: of it so far.
        out: its folder.
        told: hears of what goes on.
    """

    def __init__(
        self,
        source: Checkpoint,
        model: Any,
        tokenizer: Any,
        *,
        training: torch.Tensor,
        validation: torch.Tensor,
        former: torch.Tensor | None,
        length: int,
        record: Record,
        out: Path,
        told: Told,
    ) -> None:
        self.source, self.model, self.tokenizer = source, model, tokenizer
        self.training, self.validation, self.former = training, validation, former
        self.length, self.record, self.out, self.told = length, record, out, told
        self.optimizer = make_optimizer(model)
        self.step = 0

    @property
    def settings(self) -> Settings:
        """What was asked for."""
        return self.record.settings

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: the model has its weights already.

        Args:
            state: of `reference.finetuning.kept.newest_state`.
        """
        if "adapter" in state:
            adapters.set_adapter_state(self.model, state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        self.record.points = [p for p in self.record.points if p.step <= self.step]
        self.record.checkpoints = [c for c in self.record.checkpoints if c["step"] <= self.step]

    def run(self) -> None:
        """Train to the last step; the folder has the result then.

        Raises:
            CheckpointError: where training diverges.
        """
        settings, losses = self.settings, list[float]()
        evaluations, kept = set(settings.evaluation_steps()), set(settings.checkpoint_steps())
        if not self.record.points:
            self._look(losses, keep=True)
        while self.step < settings.steps:
            started = time.perf_counter()
            losses.append(self._update())
            self.step += 1
            self.told.step(self.step, losses[-1], time.perf_counter() - started)
            if self.step in evaluations:
                self._look(losses, keep=self.step in kept)
                losses = []
        write_result(self.out, self.record.checkpoints[-1]["folder"])
        self.record.finished = True
        self.record.save(self.out)

    def _update(self) -> float:
        """One step; returns the batch's loss before it."""
        settings = self.settings
        drawn = settings.seed * 1_000_003 + self.step
        torch.manual_seed(drawn)  # for dropout
        generator = torch.Generator().manual_seed(drawn)
        high = len(self.training) - self.length
        starts = torch.randint(high, (settings.batch_size, 1), generator=generator)
        batch = self.training[starts + torch.arange(self.length + 1)]  # [batch, length + 1]
        self.model.train()
        return update(self.model, self.optimizer, batch, self._rate())

    def _rate(self) -> float:
        """The learning rate of the step that comes."""
        settings = self.settings
        rising = settings.warm_up * settings.steps
        share = min(1.0, (self.step + 1) / rising) if rising else 1.0
        over = max(0.0, self.step - rising) / max(1.0, settings.steps - rising)
        return settings.peak * share * 0.5 * (1.0 + math.cos(math.pi * over))

    def _look(self, losses: list[float], *, keep: bool) -> None:
        """Take the losses; and keep a checkpoint, with a sample, where it is time for one."""
        self.model.eval()
        former = None if self.former is None else self._loss(self.former)
        mean = sum(losses) / len(losses) if losses else None
        self.record.points.append(Point(self.step, mean, self._loss(self.validation), former))
        self.told.point(self.record.points[-1])
        if keep:
            self._keep()
        self.record.save(self.out)

    def _loss(self, tokens: torch.Tensor) -> float:
        return mean_loss(self.model, tokens[:EVALUATION_TOKENS])

    def _keep(self) -> None:
        adapted = self.settings.lora is not None
        model = adapters.merged_of(self.model) if adapted else self.model
        merged = self._merged(model) if adapted else None
        kept = write_checkpoint(self.out, self.step, self.source, self.model, model, self.optimizer)
        kept["sample"] = self._sample()
        kept["merged"] = merged.record() if merged else None
        self.record.checkpoints.append(kept)
        self.told.checkpoint(kept)

    def _merged(self, model: Any) -> adapters.Merged:
        """How far the merged model is from the adapted one, over a window of the held-out text."""
        merged = adapters.compared(self.model, model, self.validation[None, : self.length])
        if not merged.same:
            raise CheckpointError(
                f"after step {self.step} the merged model is not the adapted one: in float64 their "
                f"logits differ by {merged.float64:.1e}, of {merged.largest:.1f}"
            )
        return merged

    def _sample(self) -> dict[str, str]:
        """A prompt and its continuation, drawn with the same seed at every checkpoint."""
        prompt = str(self.record.facts["prompt"])
        ids = self.tokenizer(prompt, return_tensors="pt").input_ids
        end = self.tokenizer.eos_token_id
        choice = GenerationConfig(
            max_new_tokens=min(
                self.settings.sample_tokens, self.source.config.n_positions - ids.shape[1]
            ),
            do_sample=True, temperature=TEMPERATURE, top_k=TOP_K,
            eos_token_id=end, pad_token_id=end or 0,
        )  # fmt: skip
        torch.manual_seed(self.settings.seed)
        mask = torch.ones_like(ids)
        output = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=choice)
        text = self.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        return {"prompt": prompt, "text": text}
