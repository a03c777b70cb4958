r"""All sizes of the model stand in one place.

## Afterwards

Every later step reads its sizes from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class GPT2Config:
    """The sizes of a GPT-2; the defaults are those of GPT-2 small."""

    # TODO 1: how many tokens there are, how far the model looks back, how wide it is
    # calls: an annotated name with a default value, as `width: int = 64`, is a field of a dataclass
    # look: the config.json of GPT-2 small (124 million parameters) on the Hugging Face hub
    # formula: tokens = 256 bytes + 50,000 merges + 1 end of text; the other two are published
    # thought: the width must be twelve heads of 64 features; the context is a power of two
    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    # done 1

    # TODO 2: how many blocks, how many heads in each, and what a LayerNorm adds to the variance
    # calls: fields again; the last one is a float
    # look: the paper's table of four models; small is the first row, with as many blocks as heads
    # formula: epsilon stands in 1 / sqrt(variance + epsilon)
    # thought: it is small beside any variance that occurs; GPT-2 has PyTorch's default for it
    n_layer: int = 12
    n_head: int = 12
    layer_norm_epsilon: float = 1e-5
    # done 2

    def __post_init__(self) -> None:
        # TODO 3: refuse sizes that cannot be a GPT-2
        # calls: `raise ValueError(...)`: a dataclass calls `__post_init__` when all fields are set
        # look: what each head takes of a position's features
        # formula: n_embd = n_head x head_dim, and head_dim is a whole number
        # thought: which operator gives what a division leaves over, and what must it be here?
        if self.n_embd % self.n_head != 0:
            raise ValueError(f"{self.n_embd} features cannot be shared by {self.n_head} heads")
        # done 3

    @property
    def head_dim(self) -> int:
        # TODO 4: the number of features of one head
        # calls: `//`: sizes are whole numbers, and `/` would give a float
        # look: attention cuts n_embd features into n_head equal pieces
        # formula: head_dim = n_embd / n_head
        # thought: the check above has made sure that nothing is left over
        return self.n_embd // self.n_head
        # done 4
