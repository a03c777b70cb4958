"""The checkpoints of a verified fine-tuning as rows, and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reference.taps import layer_of, short_name
from reports.tables.markdown import markdown_table
from reports.tables.numbers import figure, percent, scientific

if TYPE_CHECKING:
    from reports.saved.records import Run

ENDS = "embeddings, ln_f, lm_head"
"""What lies outside the blocks, as a row."""


def training_markdown(run: Run) -> str:
    """The tables under a title."""
    return f"# Verified training {run.header.get('run_id', '')}\n\n{training_tables(run)}"


def training_tables(run: Run) -> str:
    """The tables alone: by checkpoint, by block, and the samples."""
    rows = checkpoint_rows(run)
    if not rows:
        return "No checkpoint was judged.\n"
    blocks = pd.DataFrame(block_rows(run), dtype=object)
    parts = [markdown_table(pd.DataFrame(rows, dtype=object)), ""]
    if len(blocks):
        title = "Worst place of each block, alone, as a share of what is allowed:\n"
        parts += [title, markdown_table(blocks), ""]
    for name, sample in samples(run):
        text = " ".join(sample["text"].split())
        parts.append(f"- {name}: {sample['prompt']} **{text}**")
    return "\n".join([*parts, ""])


def checkpoint_rows(run: Run) -> list[dict[str, Any]]:
    """What a table shows of each checkpoint, every figure written."""
    losses = {point["step"]: point for point in run.of("point")}
    return [_row(one, losses.get(one["step"], {})) for one in run.of("checkpoint")]


def _row(one: dict[str, Any], loss: dict[str, Any]) -> dict[str, Any]:
    row = {
        "step": one["step"],
        "verdict": one["verdict"],
        "worst place": short_name(one["tap"]) or "-",
        "of allowed": percent(one["used"]),
        "running free": percent(one["free_used"]),
        "mathematics": percent(one["math_used"]),
        "KL at most, nats": scientific(one["kl_max"]),
        "checks": f"{one['passed']:,} of {one['checks']:,}",
        "bound in, ms": "-" if figure(one["bind_s"]) is None else f"{1e3 * one['bind_s']:.1f}",
        "training loss": _loss(loss.get("train_loss")),
        "held out": _loss(loss.get("validation_loss")),
        "held out before": _loss(loss.get("former_loss")),
    }
    if merged := one.get("merged"):
        row["merged, float64"] = scientific(merged["float64"])
    return row


def _loss(value: Any) -> str:
    number = figure(value)
    return "-" if number is None else f"{number:.3f}"


def block_rows(run: Run) -> list[dict[str, Any]]:
    """For each block the largest share of the allowed error, a column for each checkpoint."""
    rows: dict[str, dict[str, Any]] = {}
    for one in run.of("checkpoint"):
        worst: dict[str, float] = {}
        for tap, used in one["places"].items():
            layer = layer_of(tap)
            block = ENDS if layer is None else f"h.{layer}"
            worst[block] = max(worst.get(block, 0.0), figure(used) or 0.0)
        for block, used in worst.items():
            rows.setdefault(block, {"block": block})[f"step {one['step']}"] = percent(used)
    return [*(row for name, row in rows.items() if name != ENDS),
            *(row for name, row in rows.items() if name == ENDS)]  # fmt: skip


def samples(run: Run) -> list[tuple[str, dict[str, str]]]:
    """The text of each checkpoint that has one."""
    return [(one["name"], one["sample"]) for one in run.of("checkpoint") if one.get("sample")]
