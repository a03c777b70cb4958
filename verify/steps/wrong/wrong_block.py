"""Wrong solutions of step 9, the transformer block."""

from verify.steps.wrong.mistake import Edit, catalogued, mutated, of_step, seen

FIRST = "x = x + self.attn(self.ln_1(x))"
SECOND = "return x + self.mlp(self.ln_2(x))"
LN_1 = "self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)"
LN_2 = "self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)"


def _first(text: str) -> Edit:
    return FIRST, text


def _second(text: str) -> Edit:
    return SECOND, text


MISTAKES = of_step(
    9,
    catalogued("no residual around attention", "residual_missing", "residual left out",
               _first("x = self.attn(self.ln_1(x))")),
    mutated("no residual around the MLP", "operand", "the residual is left out",
            _second("return self.mlp(self.ln_2(x))")),
    seen("post-norm", "karpathy/minGPT#52", "post-norm",
         _first("x = self.ln_1(x + self.attn(x))"), _second("return self.ln_2(x + self.mlp(x))")),
    seen("residuals of the normalised copies", "pytorch/pytorch#61165",
         "the residual is the normalised copy",
         _first("x = self.ln_1(x)\n        x = x + self.attn(x)"),
         _second("x = self.ln_2(x)\n        return x + self.mlp(x)")),
    seen("that around the MLP alone", "SHI-Labs/Compact-Transformers#25",
         "the residual is the normalised copy",
         _second("x = self.ln_2(x)\n        return x + self.mlp(x)")),
    seen("parallel, as GPT-J has it", "karpathy/nanoGPT#278", "both parts read the same stream",
         _first("attended = self.attn(self.ln_1(x))"),
         _second("return x + attended + self.mlp(self.ln_2(x))")),
    seen("one norm for both", "kyegomez/MambaTransformer#14", "ln_1 in the place of ln_2",
         _second("return x + self.mlp(self.ln_1(x))")),
    seen("one norm object under two names", "", "one object under two names",
         (LN_2, "self.ln_2 = self.ln_1")),
    mutated("norms exchanged", "swap", "ln_1 and ln_2 exchanged",
            _first("x = x + self.attn(self.ln_2(x))"),
            _second("return x + self.mlp(self.ln_1(x))")),
    mutated("the MLP first", "order", "the MLP before attention",
            _first("x = x + self.mlp(self.ln_2(x))"),
            _second("return x + self.attn(self.ln_1(x))")),
    mutated("the parts exchanged", "swap", "attention after the MLP",
            _first("x = x + self.mlp(self.ln_1(x))"),
            _second("return x + self.attn(self.ln_2(x))")),
    seen("the second sum from the block's input", "strutive07/transformer-tensorflow2.0#14",
         "attention's sum is lost", _first("attended = x + self.attn(self.ln_1(x))"),
         _second("return x + self.mlp(self.ln_2(attended))")),
    mutated("no attention", "operation", "attn is left out", _first("x = x + self.ln_1(x)")),
    mutated("attention not added", "operand", "attn is left out",
            _first("self.attn(self.ln_1(x))")),
    mutated("no MLP", "operand", "mlp is left out", _second("return x")),
    mutated("no norm before attention", "operation", "a LayerNorm here|norm is left out",
            _first("x = x + self.attn(x)")),
    mutated("no norm before the MLP", "operation", "a LayerNorm here|norm is left out",
            _second("return x + self.mlp(x)")),
    mutated("attention subtracted", "operator", "what attn returns is subtracted",
            _first("x = x - self.attn(self.ln_1(x))")),
    mutated("the stream twice", "operation", "the stream is added twice",
            _second("return x + x + self.mlp(self.ln_2(x))")),
    seen("the MLP reads what attention read", "", "ln_1 in the place of ln_2",
         _first("read = self.ln_1(x)\n        x = x + self.attn(read)"),
         _second("return x + self.mlp(read)")),
    seen("a norm at the end", "", "post-norm", _second("return self.ln_2(x + self.mlp(x))")),
    seen("the norm added, the stream read", "", "the norm is left out",
         _second("return self.ln_2(x) + self.mlp(x)")),
    mutated("ln_1's epsilon", "number", "ln_1: found eps = 1e-6",
            (LN_1, LN_1.replace("config.layer_norm_epsilon", "1e-6"))),
    mutated("ln_2's epsilon", "number", "ln_2: found eps = 1e-12",
            (LN_2, LN_2.replace("config.layer_norm_epsilon", "1e-12"))),
    seen("a part that is not set", "", "`mlp` is not set",
         ("self.mlp = GPT2MLP(config)", "self.ffn = GPT2MLP(config)")),
    mutated("half of attention", "number", "what attn returns is scaled",
            _first("x = x + 0.5 * self.attn(self.ln_1(x))")),
)  # fmt: skip
