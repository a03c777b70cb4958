"""GPT-2s whose vocabulary is padded to a round size, as nanoGPT's, llm.c's and Megatron's are."""

from max.experimental import functional as F
from max.experimental.nn import Embedding, Linear
from max.experimental.tensor import Tensor
from parts import Body, Parts, Whole

ROUND = 64


def padded(size):
    """The next multiple of 64."""
    return (size + ROUND - 1) // ROUND * ROUND


class Table(Body):
    """An embedding with rows that stand for no token."""

    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.wte = Embedding(padded(config.vocab_size), dim=config.n_embd)


class Sliced(Whole):
    """Its logits end with the vocabulary."""

    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.vocab_size = config.vocab_size

    def forward(self, ids):
        return super().forward(ids)[..., : self.vocab_size]


class OwnHead(Whole):
    """A head of its own, padded too."""

    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.lm_head = Linear(config.n_embd, padded(config.vocab_size), bias=False)

    def forward(self, ids):
        return self.lm_head(self.transformer(ids))


class TurnedHead(Whole):
    """A padded head laid out `[n_embd, vocab_size]`."""

    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.head = Tensor.zeros([config.n_embd, padded(config.vocab_size)])

    def forward(self, ids):
        return self.transformer(ids) @ self.head


class MeanOfAll(OwnHead):
    """A head from which the mean of all columns is taken off, the padded ones too."""

    def forward(self, ids):
        found = super().forward(ids)
        return found - F.mean(found, axis=-1)


WITH_TABLE = Parts(body=Table)


def tied(config):
    return WITH_TABLE(config)


def sliced(config):
    return Sliced(config, WITH_TABLE)


def own_head(config):
    return OwnHead(config, WITH_TABLE)


def turned_head(config):
    return TurnedHead(config, WITH_TABLE)


def mean_of_all(config):
    return MeanOfAll(config, WITH_TABLE)


def hidden(config):
    """Hidden states of a body whose table is padded."""
    return Table(config, WITH_TABLE)


class FarTooWide(Body):
    """More rows than padding explains."""

    def __init__(self, config, parts):
        super().__init__(config, parts)
        self.wte = Embedding(20 * config.vocab_size + 3, dim=config.n_embd)


far_too_wide = Parts(body=FarTooWide)
