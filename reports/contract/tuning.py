"""What a fine-tuning leaves, the records of its verification, and what its `--json` writes."""

from __future__ import annotations

from typing import Literal

from reports.contract.parts import Closed, Environment, Figure, Header, Problem, Record, Verdict
from reports.contract.verifying import Divergence


class TuningSettings(Closed, kw_only=True):
    """What `python -m reference finetune` was asked for; null is its own choice."""

    model: str
    revision: str | None
    text: str
    lora: int | None
    lora_alpha: float | None
    lora_targets: list[str]
    steps: int
    batch_size: int
    length: int | None
    learning_rate: float | None
    warm_up: float
    dropout: float
    held_out: float
    checkpoints: int
    seed: int
    threads: int | None
    prompt: str | None
    sample_tokens: int


class TunedFrom(Closed, kw_only=True):
    """The model that it began with, and the hash of its weights."""

    name: str
    sha256: str


class TunedText(Closed, kw_only=True):
    """The text, and how many tokens of it are trained on and held out."""

    file: str
    sha256: str
    training_tokens: int
    validation_tokens: int


class LossFigures(Closed, kw_only=True):
    """Losses after a step, in nats per token; `former_loss` on the text held out before."""

    step: int
    train_loss: Figure
    validation_loss: Figure
    former_loss: Figure


class MergedFigures(Closed, kw_only=True):
    """How far the merged model's logits are from the adapted one's, of `largest`."""

    float64: Figure
    float32: Figure
    largest: Figure
    same: bool


class SampleText(Closed, kw_only=True):
    """A prompt, and how the model went on."""

    prompt: str
    text: str


class KeptCheckpoint(Closed, kw_only=True):
    """A checkpoint as `training.json` has it."""

    step: int
    folder: str
    sha256: str
    sample: SampleText
    merged: MergedFigures | None


class FineTuned(Closed, kw_only=True):
    """`training.json` of a fine-tuning's folder."""

    format: Literal[1]
    settings: TuningSettings
    source: TunedFrom
    parameters: int
    trained_parameters: int
    learning_rate: float
    length: int
    versions: str
    prompt: str
    text: TunedText
    finished: bool
    points: list[LossFigures]
    checkpoints: list[KeptCheckpoint]


class TrainingTold(Record, kw_only=True, tag="training"):
    """What the verification's records have of `training.json`."""

    settings: TuningSettings
    source: TunedFrom
    text: TunedText
    parameters: int
    trained_parameters: int
    learning_rate: float
    length: int


class LossPoint(LossFigures, kw_only=True, tag_field="record", tag="point"):
    """Losses as a record."""


class CheckpointFigures(Closed, kw_only=True):
    """A checkpoint that was verified; `places` has the share of the allowed error of each place."""

    step: int
    name: str
    sha256: str
    verdict: Verdict
    first_divergence: Divergence | None
    checks: int
    passed: int
    used: Figure
    tap: str | None
    case: str | None
    median_used: Figure
    free_used: Figure
    math_used: Figure
    kl_max: Figure
    places: dict[str, Figure]
    bind_s: Figure
    seconds: float
    sample: SampleText | None
    merged: MergedFigures | None


class CheckpointJudged(CheckpointFigures, kw_only=True, tag_field="record", tag="checkpoint"):
    """The same as a record."""


class WorstPlace(Closed, kw_only=True):
    """The place of all checkpoints that uses most of what is allowed."""

    step: int
    tap: str
    case: str
    used: Figure


class TrainingEnd(Record, kw_only=True, tag="end"):
    """The last record; a run without one was interrupted."""

    verdict: Verdict
    line: str
    checkpoints: int
    programs: int
    worst: WorstPlace | None
    finished_utc: str


class TrainingVerified(Closed, kw_only=True):
    """Of `python -m verify training`."""

    schema_version: int
    verdict: Verdict
    line: str
    checkpoints: int
    programs: int
    worst: WorstPlace | None
    judged: list[CheckpointFigures]
    points: list[LossFigures]
    environment: Environment
    run: str


TrainingRecord = Header | TrainingTold | LossPoint | CheckpointJudged | Problem | TrainingEnd
