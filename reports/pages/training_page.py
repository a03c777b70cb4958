"""The page of a fine-tuning whose checkpoints were verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.figures.several_runs import over_training
from reports.pages.headline import Fact, Headline, run_facts, run_warnings
from reports.pages.rendering import render_page
from reports.tables.numbers import counted, figure, percent, scientific
from reports.tables.training_markdown import block_rows, checkpoint_rows, samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.saved.records import Run


def training_page(run: Run) -> str:
    """The page, from a run's records."""
    context: dict[str, Any] = {
        "head": training_headline(run),
        "charts": over_training.figures(run),
        "rows": checkpoint_rows(run),
        "blocks": block_rows(run),
        "samples": samples(run),
    }
    return render_page("training.html", run, context)


def training_headline(run: Run) -> Headline:
    """The headline of its run."""
    verdict, title, lead = _verdict(run)
    failed = [c["first_divergence"] for c in run.of("checkpoint") if c.get("first_divergence")]
    first = failed[0] if failed else {}
    return Headline(
        verdict=verdict,
        title=title,
        lead=lead,
        diagnosis=str(first.get("diagnosis") or ""),
        blame=str(first.get("blame") or ""),
        figures=_figures(run),
        facts=[*_training_facts(run), *run_facts(run)],
        warnings=run_warnings(run),
    )


def _verdict(run: Run) -> tuple[str, str, str]:
    judged = run.of("checkpoint")
    if not judged:
        return "EMPTY", "Nothing was judged", "No checkpoint was recorded in this run."
    wrong = [one for one in judged if one["verdict"] != "PASS"]
    if run.end is None:
        lead = f"{len(judged) - len(wrong)} of the {len(judged)} judged until then passed."
        return "FAIL" if wrong else "INCOMPLETE", "Not finished", lead
    verdict = str(run.end["verdict"])
    if verdict == "PASS":
        return verdict, "The same model after every checkpoint", _passed(run)
    return verdict, f"{wrong[0]['name']} is not proven the same model", _failed(wrong)


def _passed(run: Run) -> str:
    end = run.end or {}
    count = counted(end["checkpoints"], "checkpoint")
    if not end["programs"]:
        return f"In float64 the mathematics of all {count} is PyTorch's; nothing was compiled."
    lead = f"{count}, given to {counted(end['programs'], 'compiled program')} one after the other."
    worst = end["worst"]
    if worst:
        lead += (f" At most {percent(worst['used'])} of the allowed error is used, at "
                 f"{short_name(worst['tap'])} after step {worst['step']}.")  # fmt: skip
    return lead


def _failed(wrong: Sequence[dict[str, Any]]) -> str:
    first = wrong[0]
    message = str((first.get("first_divergence") or {}).get("message") or first["verdict"])
    rest = f" {len(wrong)} checkpoints in all." if len(wrong) > 1 else ""
    return f"{first['name']}: {message.rstrip('.')}.{rest}"


def _figures(run: Run) -> list[Fact]:
    judged = run.of("checkpoint")
    passed = sum(one["verdict"] == "PASS" for one in judged)
    facts = [Fact("checkpoints right", f"{passed} of {len(judged)}")]
    used = [u for one in judged if (u := figure(one.get("used"))) is not None]
    if used:
        facts.append(Fact("of the allowed error, at most", percent(max(used))))
    bound = [b for one in judged if (b := figure(one.get("bind_s"))) is not None]
    if run.end and bound:
        facts.append(Fact("programs compiled", str(run.end["programs"])))
        facts.append(Fact("weights bound in, at most", f"{1e3 * max(bound):.0f} ms"))
    losses = [v for p in run.of("point") if (v := figure(p.get("validation_loss"))) is not None]
    if losses:
        facts.append(Fact("loss on the held-out text", f"{losses[0]:.2f} → {losses[-1]:.2f}"))
    merged = [m["float64"] for one in judged if (m := one.get("merged"))]
    if merged:
        facts.append(Fact("merged beside adapter, float64", scientific(max(merged))))
    return facts


def _training_facts(run: Run) -> list[Fact]:
    told = next(iter(run.of("training")), None)
    if told is None:
        return []
    settings, text = told["settings"], told["text"]
    rank = settings["lora"]
    how = "all parameters" if rank is None else f"LoRA of rank {rank}"
    of = f"{told['trained_parameters']:,} of {told['parameters']:,} parameters"
    size = f"{text['training_tokens']:,} tokens, and {text['validation_tokens']:,} held out"
    return [
        Fact("began with", str(told["source"]["name"])),
        Fact("trained", how, of),
        Fact("text", str(text["file"]), size),
        Fact("steps", f"{settings['steps']:,}", f"{settings['batch_size']} windows of "
             f"{told['length']} tokens, learning rate {told['learning_rate']:g}"),
    ]  # fmt: skip
