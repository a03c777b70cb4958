"""Whether a model can be called with token ids alone, told before it is traced."""

from __future__ import annotations

import inspect
from typing import Any

from verify.candidate.guard import CandidateError

SERVING = ("return_n_logits", "input_row_offsets", "signal_buffers", "cache_lengths")
"""Arguments that models of architecture packages take besides tokens; others begin with `kv`."""

WANTED = "forward(input_ids [batch, sequence]) -> logits [batch, sequence, vocab_size]"


def check_signature(name: str, model: Any) -> None:
    """Refuse a model that cannot be called with one argument.

    Args:
        name: of the candidate, for the message.
        model: it is called as `model(input_ids)`.

    Raises:
        CandidateError: with what it takes, and what to give instead.
    """
    method = called(model)
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # nothing is known: calling it will tell
        return
    parameters = list(signature.parameters.values())
    try:
        signature.bind(object())
    except TypeError:
        pass
    else:
        return
    own = f"{name}.{method.__name__}({', '.join(str(p) for p in signature.parameters)})"
    further = [p.name for p in parameters if p.default is p.empty and p.kind not in _GATHERING]
    if any(each in SERVING or each.startswith("kv") for each in further):
        raise CandidateError(
            f"{own} is the forward of an architecture package for serving, which takes ragged "
            f"tokens, row offsets or a KV cache: give a module over the same layers with {WANTED}"
        )
    problem = (
        f"needs {' and '.join(further[1:])} besides token ids: give a default for each"
        if further[1:]
        else "takes no token ids"
    )
    raise CandidateError(f"{own} {problem}; verify calls {WANTED}")


_GATHERING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def called(model: Any) -> Any:
    """The method that a call of a model ends in: its `forward`, unless `__call__` is its own."""
    kind = type(model)
    if inspect.isfunction(model) or inspect.ismethod(model):
        return model
    own = next(base for base in kind.__mro__ if "__call__" in vars(base))
    passed_on = own.__module__.startswith("max.") and hasattr(model, "forward")
    return model.forward if passed_on else model.__call__
