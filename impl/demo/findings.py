"""What a demo finds, for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impl.demo.inside_model import Seen
    from reference.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Style:
    """A way to choose tokens."""

    name: str
    temperature: float
    top_k: int
    top_p: float
    seed: int = 0

    @property
    def words(self) -> str:
        """All of it, so that `python -m impl generate` gives the same."""
        if not self.temperature:
            return f"{self.name} (temperature 0: always the likeliest token)"
        top_k = f"top-k {self.top_k}" if self.top_k else "no top-k"
        return (
            f"{self.name} (temperature {self.temperature:g}, {top_k}, top-p {self.top_p:g}, "
            f"seed {self.seed})"
        )


STYLES = (
    Style("greedy", 0.0, 0, 1.0),
    Style("moderate", 0.7, 40, 0.95),
    Style("creative", 1.1, 0, 0.98),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that was seen, for the page.

    Attributes:
        checkpoint: the model.
        tokens: the prompt's, as text.
        seen: by MAX.
        truth: by NumPy in float64; None for a model that is too large for that.
        checks: sentences, each with whether it holds.
        best: next tokens with their probability.
        texts: by style, prompt and continuation.
        speeds: in words.
    """

    checkpoint: Checkpoint
    tokens: list[str]
    seen: Seen
    truth: Seen | None
    checks: list[tuple[bool, str]]
    best: list[tuple[str, float]]
    texts: list[tuple[Style, str, str]]
    speeds: list[str]
