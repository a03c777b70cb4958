"""What a demo has shown, as one HTML page with the attention of every head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.figures.heat import pack
from reports.figures.inside import LEAST_DIFFERENCE, Attention, visible
from reports.pages.headline import Fact, Headline
from reports.pages.rendering import render_template
from reports.saved.files import write
from reports.saved.versions import version_line

if TYPE_CHECKING:
    from pathlib import Path

    from impl.demo.findings import Shown


def write_page(file: Path, shown: Shown) -> None:
    """Write the page, whole or not at all.

    Raises:
        reports.saved.records.RecordsError: if it cannot be written.
    """
    head = _headline(shown)
    text = render_template(
        "demo.html",
        title=f"{shown.checkpoint.name}: a demo",
        kicker=f"Demo · {shown.checkpoint.name}",
        footer=version_line(),
        head=head,
        attention=_attention(shown),
        checks=shown.checks,
        best=[(visible(token), share) for token, share in shown.best],
        texts=[(style.words, prompt, text) for style, prompt, text in shown.texts],
        speeds=shown.speeds,
    )
    write(file, text, "--page")


def _headline(shown: Shown) -> Headline:
    config = shown.checkpoint.config
    right = all(holds for holds, _ in shown.checks)
    return Headline(
        verdict="PASS" if right else "FAIL",
        title="The forward pass is right" if right else "The forward pass is wrong",
        lead=f"{shown.checkpoint.name} in MAX over {len(shown.tokens)} tokens. This is a glance: "
        "python -m verify judges every layer.",
        facts=[
            Fact("blocks", str(config.n_layer)),
            Fact("heads", str(config.n_head)),
            Fact("features", str(config.n_embd)),
            Fact("parameters", f"{config.parameter_count:,}"),
        ],
    )


def _attention(shown: Shown) -> Attention:
    """Maps of MAX, and beside them NumPy's in float64 where there are any."""
    found = shown.seen.shares
    sides = {"MAX": pack(found)}
    largest = np.zeros(found.shape[:2])
    if shown.truth is not None:
        difference = np.abs(found.astype(float) - shown.truth.shares)
        floor = np.maximum(difference, LEAST_DIFFERENCE)
        largest = difference.max(axis=(2, 3))
        sides["NumPy, float64"] = pack(shown.truth.shares)
        sides["difference"] = pack(np.log10(floor) / -np.log10(LEAST_DIFFERENCE) + 1)
    return Attention(
        tokens=[visible(token) for token in shown.tokens],
        layers=found.shape[0],
        heads=found.shape[1],
        sides=sides,
        largest=[[float(one) for one in row] for row in largest],
    )
