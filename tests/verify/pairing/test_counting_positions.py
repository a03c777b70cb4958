"""Position embeddings that are given token ids, and count positions themselves."""

import pytest
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Embedding, Module

from impl.model import GPT2Model
from verify.pairing.parameters import propose
from verify.pairing.translated import PairedCandidate
from verify.steps.component import StepError, check_numbers, check_shapes
from verify.steps.course import STEPS

STACK = STEPS[9]
GIVEN = "transformer.wpe:input"


class Counting(Module):
    """Rows 0, 1, ..., S - 1, or others, for token ids [B, S]."""

    def __init__(self, config, first=0):
        self.rows = Embedding(config.n_positions, dim=config.n_embd)
        self.first = first

    def forward(self, ids):
        numbers = F.arange(0, ids.shape[-1], dtype=DType.int64, device=ids.device)
        return self.rows((numbers + self.first).unsqueeze(0))


class Stack(GPT2Model):
    def __init__(self, config, first=0):
        super().__init__(config)
        self.wpe = Counting(config, first)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(ids)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


def paired(factory):
    component = check_shapes(STACK, factory)
    pairing = propose(component.outline, component.reference)
    return PairedCandidate(component.here, component.outline, pairing, component.reference)


def test_what_it_is_given_is_compared_where_it_is_positions():
    assert GIVEN in paired(GPT2Model).forced_taps


def test_what_it_is_given_is_not_compared_where_it_is_token_ids():
    candidate = paired(Stack)
    assert GIVEN not in candidate.forced_taps
    assert GIVEN in candidate.excused(dict.fromkeys(candidate.reference.places, ""))
    check_numbers(STACK, check_shapes(STACK, Stack), quick=True)


def test_positions_that_are_wrong_are_caught_at_what_it_returns():
    component = check_shapes(STACK, lambda config: Stack(config, first=1))
    with pytest.raises(StepError, match="wpe"):
        check_numbers(STACK, component, quick=True)
