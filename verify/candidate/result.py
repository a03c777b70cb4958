"""What a model returns: one tensor, or several things of which one is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from verify.candidate.graph_api import as_tensor
from verify.candidate.guard import CandidateError, a

if TYPE_CHECKING:
    from collections.abc import Callable

    from max.experimental.tensor import Tensor

ATTRIBUTES = {"logits": ("logits",), "hidden": ("last_hidden_state", "hidden_states", "hidden")}
"""By what a model returns: how it may be called where an object or a dict is returned."""

ORDINALS = ("first", "second", "third", "fourth", "fifth")


class Taking:
    """Takes the logits, or the hidden states, out of what a model returns.

    Args:
        output: `logits` or `hidden`; "" where only a tensor will do.
        size: of the last axis of what is looked for.
        fits: further sizes that it may have, a padded vocabulary's say.

    Attributes:
        said: what was taken, in words; "" where a tensor is returned.
    """

    def __init__(
        self, output: str = "", size: int = 0, fits: Callable[[int], bool] | None = None
    ) -> None:
        self.output = output
        self.size = size
        self.fits = fits
        self.said = ""

    def __call__(self, returned: Any) -> Any:
        """The tensor.

        Raises:
            CandidateError: where there is none.
        """
        tensor = as_tensor(returned)
        if tensor is not None:
            return tensor
        if self.output:
            for name in ATTRIBUTES[self.output]:
                value = as_tensor(_named(returned, name))
                if value is not None:
                    self.said = f"it returns {a(returned)}: its {name} is taken"
                    return value
            if isinstance(returned, tuple | list):
                return self._of_several(returned)
        raise CandidateError(f"forward returns {a(returned)}, not one tensor")

    def _of_several(self, returned: Any) -> Tensor:
        what = "hidden states" if self.output == "hidden" else "logits"
        kind = f"{a(returned)} of {len(returned)}"
        for index, value in enumerate(map(as_tensor, returned)):
            if value is not None and value.rank == 3 and self._is_wanted(_last(value)):
                place = ORDINALS[index] if index < len(ORDINALS) else f"number {index + 1}"
                self.said = f"it returns {kind}: its {place}, with the shape of {what}, is taken"
                return value
        held = ", ".join(_shape(value) for value in returned) or "nothing"
        hint = " (for a model that returns hidden states: --output hidden)"
        raise CandidateError(
            f"forward returns {kind} ({held}), none of which has the shape of {what}, "
            f"[batch, sequence, {self.size}]{hint if self.output == 'logits' else ''}"
        )

    def _is_wanted(self, size: int | None) -> bool:
        if size is None:
            return False
        return size == self.size or (self.fits is not None and self.fits(size))


def _named(returned: Any, name: str) -> Any:
    """An entry of a dict, or an attribute of an object; None if there is none."""
    if isinstance(returned, Mapping):
        return returned.get(name)
    return getattr(returned, name, None)


def _last(tensor: Tensor) -> int | None:
    last = tensor.shape[-1]
    return int(last) if str(last).isdecimal() else None


def _shape(value: Any) -> str:
    tensor = as_tensor(value)
    return a(value) if tensor is None else f"[{', '.join(str(dim) for dim in tensor.shape)}]"
