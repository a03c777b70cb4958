"""What `--scaffold` writes: imports, signatures, and a TODO for what is to be found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verify.steps.course import Step

_MODULE_IMPORTS = """\
from max.experimental import functional as F
from max.experimental.nn import Embedding, LayerNorm, Linear, Module, ModuleList, Sequential
from max.experimental.tensor import Tensor
"""

_CONFIG = """\
from dataclasses import dataclass


@dataclass(frozen=True)
class GPT2Config:
    # TODO: vocab_size, n_positions, n_embd, n_layer, n_head and layer_norm_epsilon, with GPT-2
    # small's values as defaults; and a check that the heads share n_embd evenly
    pass
"""

_FUNCTIONS = {
    2: """\
from max.experimental import functional as F
from max.experimental.tensor import Tensor


def causal_mask(length, dtype, device) -> Tensor:
    raise NotImplementedError("TODO: [length, length], rows are queries")
""",
    12: """\
import numpy as np


def generate(logits, ids, max_new_tokens):
    raise NotImplementedError("TODO: append one token to every row, max_new_tokens times")
""",
}

_ARGUMENTS = {3: "self, dim, eps=1e-5", 8: "self, config, sublayer"}
_INPUTS = {5: "input_ids", 6: "input_ids", 10: "input_ids", 11: "input_ids"}


def skeleton(step: Step) -> str:
    """The text of a file in which the step is still to be done."""
    return f'"""Step {step.number}: {step.title}. {step.purpose}"""\n\n{_body(step)}'


def _body(step: Step) -> str:
    if step.number == 1:
        return _CONFIG
    if step.number in _FUNCTIONS:
        return _FUNCTIONS[step.number]
    argument = _INPUTS.get(step.number, "x")
    return (
        f"{_MODULE_IMPORTS}\n\n"
        f"class {step.name}(Module):\n"
        f"    def __init__({_ARGUMENTS.get(step.number, 'self, config')}):\n"
        f"        # TODO: what it is made of\n"
        f"        pass\n\n"
        f"    def forward(self, {argument}: Tensor) -> Tensor:\n"
        f"        # {step.shapes}\n"
        f'        raise NotImplementedError("TODO")\n'
    )
