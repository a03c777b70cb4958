"""Wrong solutions of step 8, residual and norm around one part."""

from verify.steps.wrong.mistake import Edit, mutated, of_step, seen

UPDATE = "update = self.sublayer(self.layer_norm(x))"
RESULT = "return x + update"
NORM = "self.layer_norm = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)"
PART = "self.sublayer = sublayer"


def _update(text: str) -> Edit:
    return UPDATE, f"update = {text}"


def _result(text: str) -> Edit:
    return RESULT, f"return {text}"


MISTAKES = of_step(
    8,
    seen("no residual", "", "the residual is left out", _result("update")),
    seen("post-norm", "karpathy/nanoGPT#278", "post-norm", _update("self.sublayer(x)"),
         _result("self.layer_norm(x + update)")),
    seen("the norm of the update", "harvardnlp/annotated-transformer#110",
         "the norm of what the part returns", _update("self.layer_norm(self.sublayer(x))")),
    seen("the residual of the normalised copy", "Howuhh/faster-trajectory-transformer#3",
         "the residual is the normalised copy",
         (UPDATE, "x = self.layer_norm(x)\n        update = self.sublayer(x)")),
    seen("no norm", "", "a LayerNorm here|the norm is left out", _update("self.sublayer(x)")),
    mutated("no part", "operation", "mlp is left out", _update("self.layer_norm(x)")),
    seen("the input added to itself", "LeeSureman/Flat-Lattice-Transformer#34",
         "the stream is added to itself", _result("x + x")),
    mutated("nothing added", "operand", "mlp is left out", _result("x")),
    seen("multiplied", "ChristophReich1996/MaxViT#8", "times mlp", _result("x * update")),
    mutated("subtracted", "operator", "is subtracted", _result("x - update")),
    mutated("the stream twice", "operation", "the stream is added twice",
            _result("x + x + update")),
    mutated("the update twice", "operation", "mlp is added twice", _result("x + update + update")),
    mutated("normalised twice", "operation", "normalised twice",
            _update("self.sublayer(self.layer_norm(self.layer_norm(x)))")),
    seen("the mean of both", "", "times 1/2", _result("(x + update) / 2")),
    seen("divided by sqrt(2)", "", "times 1/sqrt|times 0.707",
         _result("(x + update) * 0.7071067811865476")),
    mutated("half of the update", "number", "what mlp returns is scaled",
            _result("x + 0.5 * update")),
    seen("a norm after the addition too", "", "a norm after the addition",
         _result("self.layer_norm(x + update)")),
    seen("a norm of the update too", "", "what mlp returns is normalised",
         _result("x + self.layer_norm(update)")),
    seen("the norm added to what the part makes of x", "", "the norm is left out",
         _update("self.sublayer(x)"), _result("self.layer_norm(x) + update")),
    mutated("epsilon 1e-6", "number", "found eps = 1e-6",
            (NORM, NORM.replace("config.layer_norm_epsilon", "1e-6"))),
    mutated("epsilon 0.1", "number", "found eps = 0.1",
            (NORM, NORM.replace("config.layer_norm_epsilon", "0.1"))),
    mutated("another width", "number", r"\[D\].*what is held|axes are matched",
            (NORM, NORM.replace("config.n_embd", "4 * config.n_embd"))),
    mutated("the larger of both", "operator", "the larger of", _result("F.max(x, update)"),
            ("from max.experimental.nn import Module",
             ("from max.experimental import functional as F\n"
             "from max.experimental.nn import Module"))),
    seen("put side by side", "", "put side by side", _result("F.concat([x, update], axis=-1)"),
         ("from max.experimental.nn import Module",
          ("from max.experimental import functional as F\n"
          "from max.experimental.nn import Module"))),
    seen("the part not held", "", r"mlp.c_fc.weight.*set as an attribute",
         (PART, "self.part = [1]"), _update("self.layer_norm(x)")),
    seen("a part of one's own", "", r"4 n_embd wide|set as an attribute",
         (PART, "self.sublayer = Linear(config.n_embd, config.n_embd)"),
         ("from max.experimental.nn import Module",
          "from max.experimental.nn import Linear, Module")),
    seen("the part not asked for", "", r"it is called as Residual\(config, sublayer\)",
         ("config: GPT2Config, sublayer: Module", "config: GPT2Config"), (PART, "pass")),
    seen("nothing returned", "", "ends without `return`", (RESULT, "x + update")),
)  # fmt: skip
