"""Attention as people have written it: right, and wrong."""

import math

from max.experimental import functional as F
from max.experimental.nn import Linear
from parts import Attention, Parts, fill


class Projections(Attention):
    """Three linear layers of one's own; `biased` tells which have a bias."""

    biased = (True, True, True)

    def __init__(self, config, layer):
        super().__init__(config, layer)
        del self.c_attn
        width = config.n_embd
        self.q_proj, self.k_proj, self.v_proj = (
            Linear(width, width, bias=bias) for bias in self.biased
        )

    def projected(self, x):
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)


class KeysWithoutBias(Projections):
    """As in Whisper: it would add the same to all scores of a row."""

    biased = (True, False, True)


class WithoutBiases(Projections):
    biased = (False, False, False)


class Viewed(Attention):
    """[B, S, D] viewed as [B, H, S, K]."""

    def split(self, x):
        batch, length, width = x.shape
        return x.reshape([batch, self.n_head, length, int(width) // self.n_head])

    def merge(self, x):
        batch, _, length, size = x.shape
        return x.reshape([batch, length, self.n_head * int(size)])


class Windowed(Attention):
    """Every second layer looks a few tokens back."""

    def mask(self, scores):
        if self.layer % 2 == 0:
            return super().mask(scores)
        length = scores.shape[-1]
        outside = fill(scores, -math.inf, length, length)
        return F.band_part(outside, num_lower=11, num_upper=0, exclude=True)


class ScaledByLayer(Attention):
    def scale(self, size):
        return super().scale(size) / (self.layer + 1)


class ScaledByHand(Attention):
    def scale(self, size):
        return 0.3


class LargeFill(Attention):
    """-1e4 in place of -inf, set rather than added."""

    def weights(self, scores):
        length = scores.shape[-1]
        seen = F.band_part(fill(scores, 1.0, length, length), num_lower=None, num_upper=0)
        return F.softmax(F.where(seen > 0, scores, fill(scores, -1e4, *scores.shape)))


class DiagonalMasked(Attention):
    """The mask holds the diagonal, so that the first query has no key."""

    def mask(self, scores):
        length = scores.shape[-1]
        outside = fill(scores, -math.inf, length, length)
        return F.band_part(outside, num_lower=0, num_upper=None)


keys_without_bias = Parts(attention=KeysWithoutBias)
without_biases = Parts(attention=WithoutBiases)
viewed = Parts(attention=Viewed)
windowed = Parts(attention=Windowed)
scaled_by_layer = Parts(attention=ScaledByLayer)
scaled_by_hand = Parts(attention=ScaledByHand)
large_fill = Parts(attention=LargeFill)
diagonal_masked = Parts(attention=DiagonalMasked)
