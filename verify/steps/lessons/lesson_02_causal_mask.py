r"""A token may look back, never ahead.

## Afterwards

Attention adds this to its scores.
"""

import math

from max.driver import Device
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.tensor import Tensor
from max.graph import Dim


def causal_mask(length: Dim, dtype: DType, device: Device) -> Tensor:
    """What is added to the scores: [S, S], rows are queries, columns are keys."""
    # TODO 1: a square that hides everything
    # calls: `F.constant(value, dtype=..., device=...)` makes one number; `F.broadcast_to(x, shape)`
    #   repeats it, also to a length that is known only when the graph runs
    # look: what a score must become so that softmax gives exactly 0 for it
    # formula: exp(score + m) = 0 for every score; rows are queries, columns are keys
    # thought: a large negative number can be outweighed by a large score; one number cannot
    hidden = F.broadcast_to(  # [S, S]
        F.constant(-math.inf, dtype=dtype, device=device), [length, length]
    )
    # done 1

    # TODO 2: keep it where the key lies ahead of the query, and make the rest 0
    # calls: `F.band_part(x, num_lower=..., num_upper=..., exclude=...)` keeps a band along the
    #   diagonal, or with `exclude=True` all but the band; None takes all diagonals of that side
    # look: write down by hand which of 3 keys each of 3 queries may see
    # formula: m[q, k] = 0 where k <= q, else -inf
    # thought: what may be seen is a band: all diagonals below, and none above
    return F.band_part(hidden, num_lower=None, num_upper=0, exclude=True)  # [S, S]
    # done 2
