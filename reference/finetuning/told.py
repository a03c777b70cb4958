"""What the terminal shows while a model is fine-tuned: a bar there, plain lines everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from reports.commands import open_console

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from reference.finetuning.kept import Point

SHOWN = 200
"""Characters of a sample."""


class Told:
    """Says what goes on; a context manager.

    Args:
        steps: in all.
        step: how many of them were done before.
        tokens: that a step predicts.
    """

    def __init__(self, steps: int, step: int, tokens: int) -> None:
        self._steps, self._tokens = steps, tokens
        self._taken, self._seconds = 0, 0.0
        console = open_console(highlight=False)
        self._progress = Progress(
            BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=steps, completed=step)

    def __enter__(self) -> Self:
        """Show the bar, where there is a terminal."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._progress.stop()

    def step(self, step: int, loss: float, seconds: float) -> None:
        """A step was taken, in so many seconds."""
        self._taken += 1
        self._seconds += seconds
        words = f"step {step} of {self._steps}, loss {loss:.3f}, {self._speed()}"
        self._progress.update(self._task, completed=step, description=words)

    def point(self, point: Point) -> None:
        """Losses were taken."""
        parts = [f"validation loss {point.validation_loss:.4f}"]
        if point.train_loss is not None:
            parts.insert(0, f"loss {point.train_loss:.4f}")
        if point.former_loss is not None:
            parts.append(f"on what it was trained on before {point.former_loss:.4f}")
        if self._taken:
            parts.append(self._speed())
        self.line(f"step {point.step} of {self._steps}: {', '.join(parts)}")

    def checkpoint(self, kept: dict[str, Any]) -> None:
        """A checkpoint was written."""
        self.line(f"  kept {kept['folder']}")
        if merged := kept["merged"]:
            self.line(
                f"  merged = adapter: logits differ by {merged['float64']:.1e} at most in float64, "
                f"by {merged['float32']:.1e} as saved in float32, of {merged['largest']:.1f}"
            )
        text = " ".join(kept["sample"]["text"].split())
        cut = "..." if len(text) > SHOWN else ""
        self.line(f"  {kept['sample']['prompt']} | {text[:SHOWN]}{cut}")

    def line(self, text: str) -> None:
        """A line, above the bar where there is one."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _speed(self) -> str:
        return f"{self._taken * self._tokens / max(self._seconds, 1e-9):,.0f} tokens/s"
