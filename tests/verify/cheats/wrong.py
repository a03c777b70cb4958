"""A GPT-2 without its causal mask: what every cheat wants to have called right."""

from max.experimental import functional as F

from impl.model import GPT2Attention, GPT2LMHeadModel


class Unmasked(GPT2Attention):
    def attend(self, fused):
        query, key, value = map(self.split_heads, F.chunk(fused, 3, axis=-1))
        return self.merge_heads(F.softmax(query @ key.transpose(-2, -1) / self.divisor) @ value)


def wrong(config):
    model = GPT2LMHeadModel(config)
    for block in model.transformer.h:
        block.attn.__class__ = Unmasked
    return model
