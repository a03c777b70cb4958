r"""All sizes of the model stand in one place.

A GPT-2 comes in four published sizes, and in many others that people have trained. They differ
in six numbers alone; the code is the same. So the numbers stand in one place, and every later
step reads them from there. They have Hugging Face's names, so that the `config.json` beside any
checkpoint fills them in without a table of translations.

- `vocab_size` V: how many tokens there are: 256 bytes, 50,000 merges of the tokeniser, and one
  that ends a text.
- `n_positions`: how many tokens the model can look at; step 6 has a row of a table for each.
- `n_embd` D: how many numbers stand for one token on its way through the model.
- `n_layer`, `n_head`: how many blocks there are, and how many heads each block's attention has.
- `layer_norm_epsilon`: a small number inside of every LayerNorm (step 3).

The other sizes follow. A head works on `head_dim = D / H` features, which must be a whole
number: 768 / 12 = 64. The MLP is 4 D wide. A block then has

```
c_attn 3 D^2 + 3 D,  c_proj D^2 + D,  c_fc 4 D^2 + 4 D,  c_proj 4 D^2 + D,  two norms 4 D
     = 12 D^2 + 13 D = 7,087,872 for D = 768
```

By hand for GPT-2 small: V D = 38,597,376 for the tokens, 1024 D = 786,432 for the positions, 12
blocks with 85,054,464, and 2 D = 1,536 for the last norm. Together: 124,439,808, the "124
million" of its name.

**A typical trap.** With 64 features and 5 heads, `64 // 5` is 12 without a complaint, and four
features of each position belong to no head. The error then shows three steps later, as a
reshape that MAX cannot do. A configuration that refuses such sizes says it where the mistake
is. These numbers are plain Python: MAX knows them while it builds the graph. Only the batch B
and the length S remain symbols until the graph runs.

## Afterwards

You have the one place that all sizes come from. A number written out in a later step, 768 or 64
say, would be right for one checkpoint and wrong for the next: the checks use a model in which
no two sizes are equal, so that such a number, or two that are exchanged, cannot pass.

A wrong default here is quiet further down. With `layer_norm_epsilon` 1e-6 the text looks the
same, and every activation after the first norm differs in its fourth or fifth digit. With
`n_head` 8 in place of 12 all shapes fit, and attention computes something else.
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
