"""The steps: what each is for, what it computes, and how it is checked.

Twelve build the model; two go further: one serves it, one gives it a KV cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from reference.taps import INPUT, LOGITS

PHASES = (
    "it imports",
    "it has the expected structure",
    "it is implemented",
    "signature and shapes",
    "it computes the right numbers",
)
"""In which a step's file is checked; the first that fails ends the check."""

BUILDING = 12
"""How many steps build the model; those after them go further."""

H0 = "transformer.h.0"
TOKENS = f"transformer.wte{INPUT}"
"""Where token ids go in."""

IN_ISOLATION = (
    "compiled by MAX alone, fed with PyTorch's activations, and compared with a float64 model; "
    "what is allowed is what correct float32 evaluations stray"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        number: from 1.
        title: in a few words.
        name: of the class or function that a learner's file defines.
        signature: how it is called, and what with.
        purpose: what it is for.
        formula: what it computes.
        shapes: of what it takes and returns.
        tested: how its numbers are checked.
        result: the reference's place that it computes; "" where it is not part of the graph.
        takes: the reference's place that it is fed with.
        holds: beginnings of the names of the parameters that it holds.
        also: what Modular's book and its copies call it.
    """

    number: int
    title: str
    name: str
    signature: str
    purpose: str
    formula: str
    shapes: str
    tested: str = IN_ISOLATION
    result: str = ""
    takes: str = ""
    holds: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which a file that defines it is found."""
        return self.name, *self.also


STEPS: tuple[Step, ...] = (
    Step(
        number=1,
        title="configuration",
        name="GPT2Config",
        signature="GPT2Config(vocab_size=..., n_positions=..., n_embd=..., ...)",
        purpose="All sizes in one place, under Hugging Face's names, so that a config.json fits.",
        formula="head_dim = n_embd / n_head; the MLP is 4 n_embd wide",
        shapes="plain numbers",
        tested="the defaults are GPT-2 small's; other values are kept; n_embd must be divisible by "
        "n_head",
    ),
    Step(
        number=2,
        title="causal mask",
        name="causal_mask",
        signature="causal_mask(length, dtype, device)",
        purpose="A token may look at itself and at what came before, never ahead.",
        formula="0 where key <= query, -inf where the key lies ahead; added to the scores",
        shapes="[S, S], rows are queries; S is symbolic",
        tested="compiled by MAX for a symbolic length and compared element by element",
    ),
    Step(
        number=3,
        title="layer normalisation",
        name="LayerNorm",
        signature="LayerNorm(n_embd, eps=layer_norm_epsilon)",
        purpose="Keeps the scale of the residual stream the same in front of each part.",
        formula="(x - mean) / sqrt(var + eps) * weight + bias, var divides by D",
        shapes="[B, S, D] -> [B, S, D]; holds weight [D] and bias [D]",
        result=f"{H0}.ln_1",
        takes=f"{H0}.ln_1{INPUT}",
        holds=(f"{H0}.ln_1.",),
    ),
    Step(
        number=4,
        title="MLP",
        name="GPT2MLP",
        signature="GPT2MLP(config)",
        purpose="Works on each position alone: widen, bend, narrow.",
        formula="c_proj(gelu(c_fc(x))), gelu in its tanh form (gelu_new)",
        shapes="[B, S, D] -> [B, S, 4D] -> [B, S, D]",
        result=f"{H0}.mlp",
        takes=f"{H0}.mlp{INPUT}",
        holds=(f"{H0}.mlp.",),
    ),
    Step(
        number=5,
        title="token embeddings",
        name="TokenEmbedding",
        signature="TokenEmbedding(config)",
        purpose="Turns each token id into a vector.",
        formula="row ids[b, s] of a table",
        shapes="int64 [B, S] -> [B, S, D]; holds a table [V, D]",
        also=("GPT2Embeddings",),
        result="transformer.wte",
        takes=TOKENS,
        holds=("transformer.wte.",),
    ),
    Step(
        number=6,
        title="position embeddings",
        name="PositionEmbedding",
        signature="PositionEmbedding(config)",
        purpose="Tells each token its position: attention alone knows no order.",
        formula="rows 0, 1, ..., S - 1 of a table",
        shapes="int64 token ids [B, S] -> [1, S, D]; holds a table [n_positions, D]",
        also=("GPT2PositionEmbeddings",),
        result="transformer.wpe",
        takes=TOKENS,
        holds=("transformer.wpe.",),
    ),
    Step(
        number=7,
        title="multi-head attention",
        name="GPT2Attention",
        signature="GPT2Attention(config)",
        purpose="Lets each position take from those before it what it asks for.",
        formula="q, k, v = c_attn(x); c_proj(softmax(q k^T / sqrt(head_dim) + mask) v), by head",
        shapes="[B, S, D] -> heads [B, H, S, head_dim] -> [B, S, D]",
        also=("GPT2MultiHeadAttention",),
        result=f"{H0}.attn",
        takes=f"{H0}.attn{INPUT}",
        holds=(f"{H0}.attn.",),
    ),
    Step(
        number=8,
        title="residuals and layer norm",
        name="Residual",
        signature="Residual(config, sublayer)",
        purpose="A part reads a normalised copy of the stream and adds to the stream itself.",
        formula="x + sublayer(layer_norm(x))",
        shapes="[B, S, D] -> [B, S, D]; holds the LayerNorm and the sublayer",
        tested=IN_ISOLATION + "; the sublayer is this repository's GPT2MLP",
        result=H0,
        takes=f"{H0}.ln_2{INPUT}",
        holds=(f"{H0}.ln_2.", f"{H0}.mlp."),
    ),
    Step(
        number=9,
        title="transformer block",
        name="GPT2Block",
        signature="GPT2Block(config)",
        purpose="Attention mixes positions, the MLP works on each; both add to the stream.",
        formula="x = x + attn(ln_1(x)); x + mlp(ln_2(x))",
        shapes="[B, S, D] -> [B, S, D]",
        also=("TransformerBlock",),
        result=H0,
        takes=f"{H0}{INPUT}",
        holds=(f"{H0}.",),
    ),
    Step(
        number=10,
        title="stack of blocks",
        name="GPT2Model",
        signature="GPT2Model(config)",
        purpose="Embeddings, all blocks in turn, and a last LayerNorm.",
        formula="ln_f(block_n(... block_1(wte[ids] + wpe[positions])))",
        shapes="int64 [B, S] -> [B, S, D]",
        also=("MaxGPT2Model",),
        result="transformer",
        takes=TOKENS,
        holds=("transformer.",),
    ),
    Step(
        number=11,
        title="language-model head",
        name="GPT2LMHeadModel",
        signature="GPT2LMHeadModel(config)",
        purpose="Scores every token of the vocabulary as the next one.",
        formula="hidden wte^T: the head shares the token embedding's table",
        shapes="int64 [B, S] -> logits [B, S, V]",
        also=("MaxGPT2LMHeadModel",),
        result=LOGITS,
        takes=TOKENS,
        holds=("transformer.",),
    ),
    Step(
        number=12,
        title="generation",
        name="generate",
        signature="generate(logits, ids, max_new_tokens)",
        purpose="Continues a prompt: one token a step, each step over all tokens so far.",
        formula="ids = ids + argmax(logits(ids)[:, -1]), max_new_tokens times",
        shapes="int64 [B, S] -> int64 [B, S + max_new_tokens], numpy; logits: [B, S] -> [B, S, V]",
        tested="with the float64 model's logits, for one row and for several; the prompt must stay",
    ),
    Step(
        number=13,
        title="serving",
        name="CompletionServer",
        signature="CompletionServer(logits, encode, decode, n_positions)",
        purpose="Answers whoever asks over HTTP, with what step 12 generates.",
        formula="text = decode(generate(logits, encode(prompt), max_tokens) after the prompt)",
        shapes="JSON with prompt and max_tokens -> int64 [1, S] -> [1, S + max_tokens] -> JSON",
        tested="started and asked over HTTP: answers by a float64 model, requests that must be "
        "refused, clients at once; MAX Serve is not started",
    ),
    Step(
        number=14,
        title="KV cache",
        name="CachedGPT2",
        signature="CachedGPT2(config), called with (input_ids, keys, values)",
        purpose="Computes new tokens alone: keys and values of those before are kept.",
        formula="q of the new tokens, k and v of all: softmax(q k^T / sqrt(head_dim) + mask) v",
        shapes="int64 [B, S], keys and values [L, B, H, P, head_dim] -> logits [B, S, V], keys and "
        "values [L, B, H, P + S, head_dim]; P tokens are cached",
        tested="a prompt at once, then token by token and several at once, must equal the whole "
        "sequence; its graph in float64, then as MAX compiles it",
    ),
)
