"""Wrong solutions of step 11, the language-model head."""

from verify.steps.wrong.mistake import Edit, catalogued, mutated, of_step, seen

STACK = "self.transformer = GPT2Model(config)"
HIDDEN = "hidden = self.transformer(input_ids)"
RESULT = "return hidden @ self.transformer.wte.weight.T"
SCORES = "hidden @ self.transformer.wte.weight.T"
IMPORT = "from max.experimental.nn import Module\n"
F = (IMPORT, f"from max.experimental import functional as F\n{IMPORT}")


def _result(text: str) -> Edit:
    return RESULT, f"return {text}"


MISTAKES = of_step(
    11,
    catalogued("a head of its own, that is not loaded", "head_untied", "zeros everywhere|constant",
               _result("hidden @ Tensor.zeros_like(self.transformer.wte.weight).T")),
    mutated("a head that is a little off", "number", "right result|head",
            _result("hidden @ (self.transformer.wte.weight * 1.001).T")),
    seen("a bias in the head", "", "the head of GPT-2 has no bias",
         (STACK, f"{STACK}\n        self.bias = Tensor.zeros([config.vocab_size])"),
         _result(f"{SCORES} + self.bias")),
    seen("probabilities returned", "lansinuote/Huggingface_Toturials#6",
         "softmax over the last axis of the right result", F, _result(f"F.softmax({SCORES})")),
    seen("their logarithms returned", "keon/3-min-pytorch#19", "log softmax",
         F, _result(f"F.logsoftmax({SCORES})")),
    mutated("no transposition", "permutation", "is one transposed",
            _result("hidden @ self.transformer.wte.weight")),
    mutated("the hidden vectors returned", "operand", "the head is left out", _result("hidden")),
    seen("the last position alone", "karpathy/nanoGPT", "one position of each row",
         _result("hidden[:, -1:] @ self.transformer.wte.weight.T")),
    seen("the last position, its axis gone", "", "one position of each row",
         _result("hidden[:, -1] @ self.transformer.wte.weight.T")),
    mutated("the table of positions", "weight", "the head has that of tokens",
            _result("hidden @ self.transformer.wpe.weight.T")),
    seen("divided by sqrt(n_embd)", "jadore801120/attention-is-all-you-need-pytorch#138",
         r"times 1/sqrt\(n_embd\)", _result(f"{SCORES} / 8")),
    seen("a temperature", "", "the right result times 1.42857", _result(f"{SCORES} / 0.7")),
    mutated("the last norm again", "operation", "normalised twice|ln_f of",
            _result("self.transformer.ln_f(hidden) @ self.transformer.wte.weight.T")),
    seen("an activation in front", "", "gelu of its input", F,
         _result('F.gelu(hidden, approximate="tanh") @ self.transformer.wte.weight.T')),
    seen("the chosen tokens returned", "", "the scores of all of them|int64|dtype", F,
         _result(f"F.argmax({SCORES})")),
    mutated("negative scores left out", "activation", "clamped, nothing below 0", F,
            _result(f"F.relu({SCORES})")),
    seen("capped, as Gemma's are", "", "c tanh", F, _result(f"30 * F.tanh({SCORES} / 30)")),
    mutated("a minus", "operator", "times -1", _result(f"-({SCORES})")),
    mutated("the embeddings for the hidden vectors", "value", "lm_head of wte",
            _result("self.transformer.wte(input_ids) @ self.transformer.wte.weight.T")),
    seen("the embeddings added", "", r"hidden \+ wte of the token ids",
         _result("(hidden + self.transformer.wte(input_ids)) @ self.transformer.wte.weight.T")),
    seen("the table looked up by vectors", "", "vectors are not ids",
         _result("self.transformer.wte(hidden)")),
    seen("shifted for the loss", "", "S - 1|one position too few", _result(f"({SCORES})[:, :-1]")),
    mutated("the next position's", "position", "the result of the token after it", F,
            (RESULT, (f"scores = {SCORES}\n"
             "        return F.concat([scores[:, 1:], scores[:, :1]], axis=1)"))),
    seen("logits and hidden vectors returned", "", "return the tensor itself",
         _result(f"{SCORES}, hidden")),
    seen("the mean of the positions", "", "or their mean", F,
         _result("F.mean(hidden, axis=1) @ self.transformer.wte.weight.T")),
    mutated("axes exchanged", "permutation", "axes are in another order",
            _result("self.transformer.wte.weight @ hidden.transpose(-2, -1)")),
    seen("a table of unit vectors", "", "unit vectors of wte", F,
         (RESULT, ("table = self.transformer.wte.weight\n"
          "        table = table * F.rsqrt(F.sum(table * table, axis=-1))\n"
          "        return hidden @ table.T"))),
)  # fmt: skip
