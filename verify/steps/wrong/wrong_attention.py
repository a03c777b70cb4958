"""Wrong solutions of step 7, multi-head attention."""

from verify.steps.wrong.mistake import Edit, catalogued, mutated, of_step, seen

FUSED = "self.c_attn = Linear(config.n_embd, 3 * config.n_embd)"
CHUNKS = "query, key, value = F.chunk(self.c_attn(x), 3, axis=-1)"
SPLIT = "query, key, value = map(self.split_heads, (query, key, value))"
SCORES = "scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)"
MASKED = "masked = scores + causal_mask(x.shape[1], scores.dtype, x.device)"
MIXED = "mixed = F.softmax(masked, axis=-1) @ value"
RESULT = "return self.c_proj(self.merge_heads(mixed))"
HEADS = "heads = x.reshape([batch, length, self.n_head, self.head_dim])"
IN_FRONT = "return heads.transpose(1, 2)"
ROWS = "rows = x.transpose(1, 2)"
MERGED = "return rows.reshape([batch, length, self.n_head * self.head_dim])"

MASK = "causal_mask(x.shape[1], scores.dtype, x.device)"
LENGTHS = "[x.shape[1], x.shape[1]]"


def _square(number: str, band: str) -> str:
    """A number everywhere in a band."""
    one = f"F.constant({number}, dtype=scores.dtype, device=x.device)"
    return f"F.band_part(F.broadcast_to({one}, {LENGTHS}), {band})"


LOWER, AHEAD = "num_lower=None, num_upper=0", "num_lower=None, num_upper=0, exclude=True"


def _scores(text: str) -> Edit:
    return SCORES, f"scores = {text}"


def _masked(text: str) -> Edit:
    return MASKED, f"masked = {text}"


def _mixed(text: str) -> Edit:
    return MIXED, f"mixed = {text}"


def _filled(number: str, band: str = AHEAD) -> Edit:
    return _masked(f"scores + {_square(number, band)}")


QK = "query @ key.transpose(-2, -1)"

OF_SCORES = (
    catalogued("no scale", "scale_missing", "scores not divided", _scores(QK)),
    seen("divided by sqrt(n_embd)", "lucidrains/vit-pytorch#65", r"divided by sqrt\(n_embd\)",
         _scores(f"{QK} / math.sqrt(self.n_head * self.head_dim)")),
    seen("divided by head_dim", "delzac/cntkx#10", "scores divided by head_dim",
         _scores(f"{QK} / self.head_dim")),
    seen("multiplied, not divided", "esceptico/perceiver-io#9",
         r"q k\^T times sqrt\(head_dim\) = 4", _scores(f"{QK} * math.sqrt(self.head_dim)")),
    seen("divided by sqrt(n_head)", "", r"q k\^T times 1/sqrt\(n_head\)",
         _scores(f"{QK} / math.sqrt(self.n_head)")),
    mutated("query and key both scaled", "operation", r"q k\^T times 1/n_embd",
            _scores(f"{QK} / self.head_dim / self.n_head")),
    seen("the scale after softmax", "", "the scale applied to the weights, after softmax",
         _scores(QK), _mixed("F.softmax(masked, axis=-1) / math.sqrt(self.head_dim) @ value")),
    mutated("key and query exchanged", "swap", "split as key, query, value",
            _scores("key @ query.transpose(-2, -1) / math.sqrt(self.head_dim)")),
    mutated("a query for the key", "value", "query, query, value",
            _scores("query @ query.transpose(-2, -1) / math.sqrt(self.head_dim)")),
    mutated("no transposition", "permutation", "is one transposed",
            _scores("query @ key / math.sqrt(self.head_dim)")),
    seen("another transposition", "", "is one transposed",
         _scores("query @ key.transpose(1, 2) / math.sqrt(self.head_dim)")),
)  # fmt: skip

OF_MASK = (
    catalogued("no mask", "mask_missing", "no mask: every key is seen", _masked("scores")),
    seen("the mask made and not used", "opendilab/DI-engine#333", "no mask: every key is seen",
         (MASKED, f"masked = scores\n        scores + {MASK}")),
    seen("the past hidden", "pytorch/pytorch#29546", "keys before the query masked",
         _masked(f"scores + {MASK}.transpose(0, 1)")),
    seen("each query hidden from itself", "pbloem/former#10", "is the diagonal masked",
         _filled("-math.inf", "num_lower=0, num_upper=None")),
    catalogued("the next key seen", "mask_off_by_one", "the next key is seen too",
               _filled("-math.inf", "num_lower=None, num_upper=1, exclude=True")),
    seen("kept and hidden exchanged", "timeseriesAI/tsai#293", "those ahead seen; the last query",
         _filled("-math.inf", LOWER)),
    catalogued("lowered by 10,000", "mask_-1e4", "lowered by 1e4", _filled("-1e4")),
    mutated("lowered by 1", "number", "-1 added to masked scores", _filled("-1.0")),
    seen("a small positive number", "awslabs/gluonts#1401", "no mask: every key is seen",
         _filled("1e-9")),
    seen("+inf", "lucidrains/memory-compressed-attention#2", r"raised to \+inf",
         _filled("math.inf")),
    mutated("subtracted", "operator", "-inf subtracted", _masked(f"scores - {MASK}")),
    seen("multiplied by zeros and ones", "allenai/allennlp#105", "masked scores are set to 0",
         _masked(f"scores * {_square('1.0', LOWER)}")),
    seen("multiplied after softmax", "huggingface/pytorch-image-models#2236",
         "softmax first, then the mask", _masked("scores"),
         _mixed(f"F.softmax(masked, axis=-1) * {_square('1.0', LOWER)} @ value")),
    seen("added after softmax", "",
         "softmax first, then -inf added", _masked("scores"),
         _mixed(f"(F.softmax(masked, axis=-1) + {MASK}) @ value")),
    mutated("a window", "mask", "the last 5 tokens alone",
            _masked(f"scores + {MASK} + "
                    f"{_square('-math.inf', 'num_lower=4, num_upper=None, exclude=True')}")),
)  # fmt: skip

OF_WEIGHTS = (
    seen("softmax over the queries", "labmlai/annotated_deep_learning_paper_implementations#146",
         "over the queries",
         _mixed("F.softmax(masked, axis=-2) @ value")),
    seen("softmax over the heads", "",
         "softmax over the heads", _mixed("F.softmax(masked, axis=1) @ value")),
    seen("softmax over the batch", "PetrochukM/PyTorch-NLP#2", "softmax over the rows of the batch",
         _mixed("F.softmax(masked, axis=0) @ value")),
    mutated("no softmax", "operation", "softmax left out", _mixed("masked @ value")),
    mutated("softmax twice", "operation", "softmax twice",
            _mixed("F.softmax(F.softmax(masked, axis=-1), axis=-1) @ value")),
    mutated("a sigmoid", "activation", "the sigmoid of each score",
            _mixed("F.sigmoid(masked) @ value")),
    seen("exp, not divided by its sum", "", "not divided by its sum",
         _mixed("F.exp(masked) @ value")),
    seen("one more in the sum", "", r"1 \+ sum exp",
         _mixed("F.exp(masked) / (1 + F.sum(F.exp(masked), axis=-1)) @ value")),
    mutated("the values alone", "value", "the weights not used", _mixed("value")),
    mutated("the keys for the values", "value", "query, key, key",
            _mixed("F.softmax(masked, axis=-1) @ key")),
    mutated("the weights transposed", "permutation", "the weights transposed",
            _mixed("F.softmax(masked, axis=-1).transpose(-2, -1) @ value")),
    seen("the weights for the result", "Kamichanw/SeekDeeper#9",
         "keeps all elements|another layer", _mixed("F.softmax(masked, axis=-1)")),
)  # fmt: skip

OF_HEADS = (
    seen("query, value, key", "jsbaan/transformer-from-scratch#1", "split as query, value, key",
         (CHUNKS, CHUNKS.replace("query, key, value =", "query, value, key ="))),
    catalogued("key, query, value", "qk_swapped", "split as key, query, value",
               (CHUNKS, CHUNKS.replace("query, key, value =", "key, query, value ="))),
    mutated("value, key, query", "order", "value, key, query",
            (CHUNKS, CHUNKS.replace("query, key, value =", "value, key, query ="))),
    seen("all three the key", "Khaliladib11/Transformer-from-scratch#1", "key, key, key",
         (SPLIT, SPLIT.replace("(query, key, value)", "(key, key, key)"))),
    catalogued("query, key, value of each head", "qkv_by_head", "of one head after the other",
               (f"{CHUNKS}  # 3 x [B, S, D]\n        {SPLIT}",
                ("shape = [x.shape[0], x.shape[1], self.n_head, 3 * self.head_dim]\n"
                "        fused = self.c_attn(x).reshape(shape).transpose(1, 2)\n"
                "        query, key, value = F.chunk(fused, 3, axis=-1)"))),
    seen("cut along the positions", "bytedance/lightseq#22", "split the features' axis",
         (CHUNKS, CHUNKS.replace("axis=-1", "axis=1"))),
    seen("a reshape, and no transposition", "reczoo/FuxiCTR#30", "not transposed",
         (HEADS, "heads = x.reshape([batch, self.n_head, length, self.head_dim])"),
         (IN_FRONT, "return heads")),
    catalogued("features of heads interleaved", "heads_interleaved",
               r"features split as \[head_dim, head\]",
               (HEADS, "heads = x.reshape([batch, length, self.head_dim, self.n_head])"),
               (IN_FRONT, "return heads.permute([0, 3, 1, 2])")),
    seen("merged without a transposition", "jsbaan/transformer-from-scratch#6",
         "flattened without the transposition", (ROWS, "rows = x")),
    mutated("merged feature by feature", "permutation", r"transposed to \[B, S, K, H\]",
            (ROWS, "rows = x.permute([0, 2, 3, 1])")),
    seen("never transposed", "649453932/Chinese-Text-Classification-Pytorch#53",
         "never transposed",
         (HEADS, "heads = x.reshape([batch, self.n_head, length, self.head_dim])"),
         (IN_FRONT, "return heads"), (ROWS, "rows = x")),
    mutated("split and not transposed", "permutation", "axes are matched from the right",
            (IN_FRONT, "return heads"), (ROWS, "rows = x"),
            ("batch, length = x.shape[0], x.shape[2]", "batch, length = x.shape[0], x.shape[1]")),
    mutated("one head", "number", "one head of all features",
            ("self.n_head = config.n_head", "self.n_head = 1"),
            ("self.head_dim = config.n_embd // config.n_head", "self.head_dim = config.n_embd")),
    mutated("twice as many heads", "number", "8 heads of 8 features",
            ("self.n_head = config.n_head", "self.n_head = 2 * config.n_head"),
            ("self.head_dim = config.n_embd // config.n_head",
             "self.head_dim = config.n_embd // config.n_head // 2")),
    seen("heads of 64 features, as GPT-2's are", "", "n_head x head_dim = n_embd",
         ("self.head_dim = config.n_embd // config.n_head", "self.head_dim = 64")),
    mutated("n_head and head_dim exchanged", "swap", "16 heads of 4 features",
            ("self.n_head = config.n_head", "self.n_head = config.n_embd // config.n_head"),
            ("self.head_dim = config.n_embd // config.n_head", "self.head_dim = config.n_head")),
)  # fmt: skip

OF_LAYERS = (
    seen("no projection of the result", "stevezheng23/sequence_labeling_tf#83",
         "c_proj is left out", (RESULT, "return self.merge_heads(mixed)")),
    mutated("projected twice", "operation", "attn of attn.c_proj|attn of the right result",
            (RESULT, "return self.c_proj(self.c_proj(self.merge_heads(mixed)))")),
    seen("the residual inside", "", r"\+ the right result",
         (RESULT, "return x + self.c_proj(self.merge_heads(mixed))")),
    seen("an activation of the result", "", "gelu of the right result",
         (RESULT, 'return F.gelu(self.c_proj(self.merge_heads(mixed)), approximate="tanh")')),
    mutated("no bias", "operand", r"c_attn.bias.*bias \[3D\].*switched off",
            (FUSED, FUSED.replace("n_embd)", "n_embd, bias=False)"))),
    seen("one projection for all three", "",
         "three vectors of n_embd", (FUSED, "self.c_attn = Linear(config.n_embd, config.n_embd)")),
)  # fmt: skip

MISTAKES = of_step(7, *OF_SCORES, *OF_MASK, *OF_WEIGHTS, *OF_HEADS, *OF_LAYERS)
