"""One style for the book's figures: small, in colours that the colour-blind can tell apart.

`figure` begins one; lines take the colours of Okabe and Ito (2008). `show` ends it: a notebook or a
page displays it, with a sentence for those who do not see it. A script draws it and shows nothing;
with `BOOK_PICTURES=FOLDER` it is saved there.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip

STYLE: dict[Any, Any] = {
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK]),
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.dpi": 90,
    "font.size": 9,
    "grid.alpha": 0.3,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}

SHARP = 1.5
"""Pixels for each one that a page lays out, for screens that have more."""

MOST_LABELS = 40
"""Of an axis of a heat map; more cannot be read."""


def figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.4, 3.0)) -> Any:
    """A figure and its axes, as `plt.subplots` gives them, in the book's style.

    Args:
        rows: of axes.
        columns: of axes.
        size: of the whole, in inches; 7.5 wide is as much as a page takes.
    """
    plt.rcParams.update(STYLE)
    return plt.subplots(rows, columns, figsize=size, layout="constrained")


def heatmap(
    axes: Axes,
    values: Any,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    around_zero: bool = False,
    bar: bool = True,
    **limits: Any,
) -> None:
    """A matrix as a picture, the first row at the top.

    Args:
        axes: where to draw.
        values: `[rows, columns]`.
        rows: a label for each row, or none.
        columns: a label for each column, or none.
        title: above the picture.
        around_zero: whether the sign matters: white at 0, blue below, red above.
        bar: whether a scale stands beside it.
        limits: `vmin` and `vmax`, as matplotlib has them.
    """
    values = np.asarray(values, float)
    if around_zero:
        largest = float(np.nanmax(np.abs(values))) or 1.0
        limits = {"vmin": -largest, "vmax": largest, **limits}
    drawn = axes.imshow(values, cmap="RdBu_r" if around_zero else None, aspect="auto", **limits)
    axes.grid(visible=False)
    axes.set_title(title)
    for axis, labels in ((axes.yaxis, rows), (axes.xaxis, columns)):
        if 0 < len(labels) <= MOST_LABELS:
            axis.set_ticks(range(len(labels)), [label.replace("$", r"\$") for label in labels])
        else:
            axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if columns:
        axes.tick_params(axis="x", rotation=90)
    if bar:
        axes.figure.colorbar(drawn, ax=axes, shrink=0.9)


def show(drawn: Figure, text: str) -> None:
    """Display a figure in a notebook or a page, and close it.

    Args:
        drawn: the figure.
        text: what it shows, in a sentence, for those who do not see it.
    """
    png = _png(drawn)
    width = round(drawn.get_figwidth() * drawn.dpi)
    plt.close(drawn)
    _display(png, text, width)
    if folder := os.environ.get("BOOK_PICTURES"):
        name = "_".join(re.findall(r"\w+", text.lower())[:6])
        (Path(folder) / f"{name}.png").write_bytes(png)


def _png(drawn: Figure) -> bytes:
    """With a palette, in a third of the bytes that full colours take."""
    full, small = BytesIO(), BytesIO()
    drawn.savefig(full, format="png", dpi=SHARP * drawn.dpi)
    with Image.open(full) as image:
        rgb = image.convert("RGB")
        rgb.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def _display(png: bytes, text: str, width: int) -> None:
    """Where IPython runs the cells; as HTML, since pictures of notebooks have no text otherwise."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        return
    if get_ipython() is not None:
        data = b64encode(png).decode()
        told = escape(text, quote=True)
        display(HTML(f'<img alt="{told}" width="{width}" src="data:image/png;base64,{data}">'))
