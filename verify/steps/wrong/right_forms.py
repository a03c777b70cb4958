"""Right solutions in other forms than the lessons': each has to pass."""

from __future__ import annotations

from dataclasses import dataclass

from verify.steps.lessons import lesson
from verify.steps.wrong.mistake import Edit, edited


@dataclass(frozen=True, slots=True)
class Form:
    """A right solution.

    Attributes:
        step: number of the step.
        name: how it differs.
        edits: of the lesson's solution.
    """

    step: int
    name: str
    edits: tuple[Edit, ...]

    @property
    def text(self) -> str:
        """The text of the file."""
        return edited(lesson(self.step).solution, self.edits, f"step {self.step}, {self.name}")


def _forms(step: int, **named: tuple[Edit, ...]) -> tuple[Form, ...]:
    return tuple(Form(step, name.replace("_", " "), edits) for name, edits in named.items())


def _import(module: str, *names: str) -> Edit:
    """More names of a module that the solution imports from."""
    begin = f"from {module} import "
    return begin, f"{begin}{', '.join(names)}, "


NN = "max.experimental.nn"
NUMPY = ("import math\n", "import math\n\nimport numpy as np\n")
F = (f"from {NN} import Module\n",
     f"from max.experimental import functional as F\nfrom {NN} import Module\n")  # fmt: skip

OF_CONFIG = _forms(
    1,
    an_assertion=(("if self.n_embd % self.n_head != 0:\n            raise ValueError(",
                   "assert self.n_embd % self.n_head == 0, str("),),
    fields_that_can_be_set=(("@dataclass(frozen=True)", "@dataclass"),),
    by_keyword_alone=(("@dataclass(frozen=True)", "@dataclass(frozen=True, kw_only=True)"),),
    divmod_of_both=(("if self.n_embd % self.n_head != 0:",
                     "if divmod(self.n_embd, self.n_head)[1]:"),),
)  # fmt: skip

BAND = "F.band_part(hidden, num_lower=None, num_upper=0, exclude=True)"
OF_MASK = _forms(
    2,
    by_comparing_positions=((
        BAND,
        ("F.where(F.arange(0, length, dtype=DType.int64, device=device).unsqueeze(0)\n"
        "        > F.arange(0, length, dtype=DType.int64, device=device).unsqueeze(1),\n"
        "        hidden, F.constant(0.0, dtype=dtype, device=device))")),),
    a_constant_of_numpy_cut=(
        NUMPY, (f"return {BAND}",
                ("table = np.triu(np.full((1024, 1024), -np.inf, np.float32), 1)\n"
                "    return F.cast(F.constant(table, dtype=DType.float32, device=device), dtype)"
                "[:length, :length]"))),
    the_logarithm_of_ones=((
        BAND, "F.log(F.band_part(F.exp(hidden) + 1.0, num_lower=None, num_upper=0))"),),
    with_axes_for_rows_and_heads=((BAND, f"{BAND}.unsqueeze(0).unsqueeze(0)"),),
    where_of_a_band=((
        BAND, ("F.where(F.band_part(F.exp(hidden) + 1.0, num_lower=None, num_upper=0) > 0,\n"
        "        F.constant(0.0, dtype=dtype, device=device), hidden)")),),
)  # fmt: skip

VARIANCE = "variance = F.mean(centred * centred, axis=-1)"
ROOT = "centred * F.rsqrt(variance + self.eps)"
OF_NORM = _forms(
    3,
    a_root_and_a_division=((ROOT, "centred / F.sqrt(variance + self.eps)"),),
    the_mean_of_squares_less_the_square=((
        VARIANCE, "variance = F.mean(x * x, axis=-1) - F.mean(x, axis=-1) * F.mean(x, axis=-1)"),),
    sums_divided_by_the_width=((
        VARIANCE, "variance = F.sum(centred * centred, axis=-1) / int(x.shape[-1])"),),
    MAXs_own=((f"return {ROOT} * self.weight + self.bias",
               "return F.layer_norm(x, self.weight, self.bias, self.eps)"),),
    a_power=((ROOT, "centred * (variance + self.eps) ** -0.5"),),
)  # fmt: skip

BENT = 'bent = F.gelu(wide, approximate="tanh")'
SLOPE = "0.7978845608028654"
OF_MLP = _forms(
    4,
    the_formula_by_hand=((
        BENT, f"bent = 0.5 * wide * (1 + F.tanh({SLOPE} * (wide + 0.044715 * wide**3)))"),),
    by_a_sigmoid=((
        BENT, f"bent = wide * F.sigmoid(2 * {SLOPE} * (wide + 0.044715 * wide * wide * wide))"),),
    one_line=((f"{BENT}  # [B, S, 4D]\n", ""),
              ("return self.c_proj(bent)",
               'return self.c_proj(F.gelu(wide, approximate="tanh"))')),
    other_names=(("self.c_fc = ", "self.up = "), ("self.c_fc(x)", "self.up(x)"),
                 ("self.c_proj = ", "self.down = "), ("self.c_proj(bent)", "self.down(bent)")),
)  # fmt: skip

TABLE = "self.weight = Tensor.zeros([config.vocab_size, config.n_embd])"
ROWS = "return F.gather(self.weight, input_ids, axis=0)"
OF_TOKENS = _forms(
    5,
    MAXs_own=(_import(NN, "Embedding"),
              (TABLE, "self.wte = Embedding(config.vocab_size, dim=config.n_embd)"),
              (ROWS, "return self.wte(input_ids)")),
    flat_and_back=((
        ROWS, ("rows = F.gather(self.weight, input_ids.reshape([-1]), axis=0)\n"
        "        batch, length = input_ids.shape[0], input_ids.shape[1]\n"
        "        return rows.reshape([batch, length, self.weight.shape[1]])")),),
    another_name=((TABLE, TABLE.replace("weight", "table")),
                  (ROWS, ROWS.replace("weight", "table"))),
)  # fmt: skip

PLACES = "self.weight = Tensor.zeros([config.n_positions, config.n_embd])"
LOOKED_UP = "return F.gather(self.weight, positions.unsqueeze(0), axis=0)"
OF_POSITIONS = _forms(
    6,
    MAXs_own=(_import(NN, "Embedding"),
              (PLACES, "self.wpe = Embedding(config.n_positions, dim=config.n_embd)"),
              (LOOKED_UP, "return self.wpe(positions.unsqueeze(0))")),
    no_axis_for_rows=((LOOKED_UP, LOOKED_UP.replace(".unsqueeze(0)", "")),),
    the_table_cut=((LOOKED_UP, "return self.weight[:length].unsqueeze(0)"),),
    a_copy_for_each_row=((
        LOOKED_UP, ("rows = F.gather(self.weight, positions.unsqueeze(0) + 0 * input_ids, axis=0)\n"
        "        return rows")),),
)  # fmt: skip

CHUNKS = "query, key, value = F.chunk(self.c_attn(x), 3, axis=-1)"
SCORES = "scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)"
MIXED = "mixed = F.softmax(masked, axis=-1) @ value"
OF_ATTENTION = _forms(
    7,
    three_slices=((
        CHUNKS, ("fused = self.c_attn(x)\n        width = self.n_head * self.head_dim\n"
        "        query, key = fused[:, :, :width], fused[:, :, width : 2 * width]\n"
        "        value = fused[:, :, 2 * width :]")),),
    three_layers=(
        ("self.c_attn = Linear(config.n_embd, 3 * config.n_embd)",
         ("self.q_proj = Linear(config.n_embd, config.n_embd)\n"
         "        self.k_proj = Linear(config.n_embd, config.n_embd)\n"
         "        self.v_proj = Linear(config.n_embd, config.n_embd)")),
        (CHUNKS, "query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)")),
    the_query_scaled=((SCORES, ("query = query * self.head_dim**-0.5\n"
                       "        scores = query @ key.transpose(-2, -1)")),),
    the_mask_before_the_scale=(
        (SCORES, "scores = query @ key.transpose(-2, -1)"),
        (MIXED, "mixed = F.softmax(masked / math.sqrt(self.head_dim), axis=-1) @ value")),
    softmax_by_hand=((
        MIXED, ("weights = F.exp(masked - F.max(masked, axis=-1))\n"
        "        mixed = weights / F.sum(weights, axis=-1) @ value")),),
    permuted=(("return heads.transpose(1, 2)", "return heads.permute([0, 2, 1, 3])"),
              ("rows = x.transpose(1, 2)", "rows = x.permute([0, 2, 1, 3])")),
    heads_put_side_by_side=(
        ("rows = x.transpose(1, 2)", ("rows = F.concat([x[:, h] for h in range(self.n_head)], "
         "axis=-1)")),
        ("return rows.reshape([batch, length, self.n_head * self.head_dim])", "return rows")),
)  # fmt: skip

OF_RESIDUAL = _forms(
    8,
    the_stream_kept=(("update = self.sublayer(self.layer_norm(x))",
                      ("stream = x\n        x = self.layer_norm(x)\n"
                      "        update = self.sublayer(x)")),
                     ("return x + update", "return stream + update")),
    the_update_first=(("return x + update", "return update + x"),),
    MAXs_own_norm=(("from step_03 import LayerNorm\n", ""),
                   (f"from {NN} import Module", f"from {NN} import LayerNorm, Module")),
)  # fmt: skip

FIRST, SECOND = "x = x + self.attn(self.ln_1(x))", "return x + self.mlp(self.ln_2(x))"
OF_BLOCK = _forms(
    9,
    every_step_named=((FIRST, ("normalised = self.ln_1(x)\n"
                       "        attended = self.attn(normalised)\n"
                       "        x = x + attended")),
                      (SECOND, ("normalised = self.ln_2(x)\n"
                                "        return x + self.mlp(normalised)"))),
    added_in_place=((FIRST, "x += self.attn(self.ln_1(x))"),
                    (SECOND, "x += self.mlp(self.ln_2(x))\n        return x")),
    other_names=(("self.ln_1 = ", "self.norm1 = "), ("self.ln_2 = ", "self.norm2 = "),
                 (FIRST, FIRST.replace("ln_1", "norm1")),
                 (SECOND, SECOND.replace("ln_2", "norm2"))),
    two_residuals_of_step_8=(
        ("from step_07 import GPT2Attention\n",
         "from step_07 import GPT2Attention\nfrom step_08 import Residual\n"),
        ("        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)\n", ""),
        ("        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)\n", ""),
        ("self.attn = GPT2Attention(config)",
         "self.attn = Residual(config, GPT2Attention(config))"),
        ("self.mlp = GPT2MLP(config)", "self.mlp = Residual(config, GPT2MLP(config))"),
        (FIRST, "x = self.attn(x)"), (SECOND, "return self.mlp(x)")),
)  # fmt: skip

BLOCKS = "self.h = ModuleList([GPT2Block(config) for _ in range(config.n_layer)])"
OF_STACK = _forms(
    10,
    a_list_of_python=((BLOCKS, "self.h = [GPT2Block(config) for _ in range(config.n_layer)]"),),
    a_Sequential=(_import(NN, "Sequential"),
                  (BLOCKS, ("self.h = Sequential(*(GPT2Block(config) for _ in "
                   "range(config.n_layer)))")),
                  ("for block in self.h:\n            x = block(x)", "x = self.h(x)")),
    by_number=(("for block in self.h:\n            x = block(x)",
                "for layer in range(len(list(self.h))):\n            x = self.h[layer](x)"),),
    MAXs_own_embedding=(_import(NN, "Embedding"),
                        ("self.wte = TokenEmbedding(config)",
                         "self.wte = Embedding(config.vocab_size, dim=config.n_embd)")),
)  # fmt: skip

LOGITS = "return hidden @ self.transformer.wte.weight.T"
STACK = "self.transformer = GPT2Model(config)"
OF_HEAD = _forms(
    11,
    transposed_by_name=((LOGITS, "return hidden @ self.transformer.wte.weight.transpose(0, 1)"),),
    a_product_of_functions=(F, (LOGITS, "return F.matmul(hidden, self.transformer.wte.weight.T)")),
    a_Linear_layer_of_its_own=(
        _import(NN, "Linear"),
        (STACK, (f"{STACK}\n        self.lm_head = Linear(config.n_embd, config.vocab_size, "
         "bias=False)")),
        (LOGITS, "return self.lm_head(hidden)")),
    the_stack_under_another_name=((STACK, STACK.replace("transformer", "model")),
                                  ("self.transformer(input_ids)", "self.model(input_ids)"),
                                  (LOGITS, LOGITS.replace("transformer", "model"))),
)  # fmt: skip

APPENDED = "ids = np.concatenate([ids, chosen[:, None]], axis=1)"
OF_GENERATION = _forms(
    12,
    columns_stacked=((APPENDED, "ids = np.column_stack([ids, chosen])"),),
    an_array_of_the_final_size=(
        ("for _ in range(max_new_tokens):",
         ("start = ids.shape[1]\n"
         "    grown = np.zeros((len(ids), start + max_new_tokens), ids.dtype)\n"
         "    grown[:, :start] = ids\n"
         "    for place in range(start, start + max_new_tokens):")),
        ("scores = logits(ids)[:, -1]", "scores = logits(grown[:, :place])[:, -1]"),
        (APPENDED, "grown[:, place] = chosen"), ("    return ids", "    return grown")),
    row_by_row=((APPENDED, "ids = np.array([[*row, token] for row, token in zip(ids, chosen)])"),),
    after_a_softmax=(("chosen = scores.argmax(axis=-1)",
                      ("odds = np.exp(scores - scores.max(axis=-1, keepdims=True))\n"
                       "        odds = odds / odds.sum(axis=-1, keepdims=True)\n"
                       "        chosen = odds.argmax(axis=-1)")),),
)  # fmt: skip

GROWN = "grown = generate(self.logits, ids, max_tokens)"
OF_SERVING = _forms(
    13,
    a_lock_by_hand=((f"with self.lock:\n            {GROWN}",
                     ("self.lock.acquire()\n        try:\n"
                      f"            {GROWN}\n        finally:\n            self.lock.release()")),),
    an_answer_with_more_fields=((
        'return {"object": "text_completion",',
        'return {"id": "cmpl-1", "created": 0, "model": "small", "object": "text_completion",'),),
    one_client_after_another=(
        ("from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer",
         "from http.server import BaseHTTPRequestHandler, HTTPServer"),
        ("class CompletionServer(ThreadingHTTPServer)", "class CompletionServer(HTTPServer)")),
)  # fmt: skip

SUM = "x = gpt2.wte(input_ids) + F.gather(gpt2.wpe.weight, positions, axis=0)"
OF_CACHE = _forms(
    14,
    the_table_of_positions_cut=((SUM, ("x = gpt2.wte(input_ids) + F.gather(gpt2.wpe.weight, "
                                 "positions.unsqueeze(0), axis=0)")),),
    the_mask_cut=(("mask = F.gather(whole, positions, axis=0)",
                   "mask = F.gather(whole, positions, axis=0).unsqueeze(0)"),),
    the_query_scaled=((
        "scores = query @ keys.transpose(-2, -1) / math.sqrt(attention.head_dim)",
        ("query = query / math.sqrt(attention.head_dim)\n"
         "    scores = query @ keys.transpose(-2, -1)")),),
)  # fmt: skip

RIGHT_FORMS = (
    *OF_CONFIG, *OF_MASK, *OF_NORM, *OF_MLP, *OF_TOKENS, *OF_POSITIONS, *OF_ATTENTION,
    *OF_RESIDUAL, *OF_BLOCK, *OF_STACK, *OF_HEAD, *OF_GENERATION, *OF_SERVING, *OF_CACHE,
)  # fmt: skip
