"""Wrong solutions of step 4, the MLP."""

from verify.steps.wrong.mistake import catalogued, mutated, of_step, seen

WIDEN = "self.c_fc = Linear(config.n_embd, 4 * config.n_embd)"
NARROW = "self.c_proj = Linear(4 * config.n_embd, config.n_embd)"
WIDE, BENT = "wide = self.c_fc(x)", 'bent = F.gelu(wide, approximate="tanh")'
RESULT = "return self.c_proj(bent)"
SLOPE = "0.7978845608028654"
CUBE = "wide * wide * wide"


def _bent(text: str) -> tuple[str, str]:
    return BENT, f"bent = {text}"


def _sizes(middle: str) -> tuple[tuple[str, str], ...]:
    return (
        (WIDEN, WIDEN.replace("4 * config.n_embd", middle)),
        (NARROW, NARROW.replace("4 * config.n_embd", middle)),
    )


MISTAKES = of_step(
    4,
    catalogued("GELU by erf", "gelu_erf", r"found 0.5 x \(1 \+ erf", _bent("F.gelu(wide)")),
    catalogued("quick GELU", "gelu_sigmoid", r"x sigmoid\(1.702 x\)",
               _bent('F.gelu(wide, approximate="quick")')),
    catalogued("ReLU", "relu", r"found max\(x, 0\)", _bent("F.relu(wide)")),
    seen("SiLU, as Llama has it", "", "SiLU", _bent("F.silu(wide)")),
    seen("no activation", "Nota-NetsPresso/netspresso-trainer#320", "x itself: no activation",
         _bent("wide")),
    seen("tanh alone", "", r"found tanh\(x\)", _bent("F.tanh(wide)")),
    seen("sigmoid", "", r"found sigmoid\(x\)", _bent("F.sigmoid(wide)")),
    mutated("softmax", "activation", "softmax.x. over the features", _bent("F.softmax(wide)")),
    catalogued("a digit wrong", "gelu_wrong_const", "0.044715 mistaken: 0.047715",
               _bent(f"0.5 * wide * (1 + F.tanh({SLOPE} * (wide + 0.047715 * {CUBE})))")),
    mutated("a rounded slope", "number", "with a = 0.8",
            _bent(f"0.5 * wide * (1 + F.tanh(0.8 * (wide + 0.044715 * {CUBE})))")),
    seen("2 / pi without its root", "", "with a = 2/pi",
         _bent(f"0.5 * wide * (1 + F.tanh(0.6366197723675814 * (wide + 0.044715 * {CUBE})))")),
    seen("the square for the cube", "", "a square for the cube",
         _bent(f"0.5 * wide * (1 + F.tanh({SLOPE} * (wide + 0.044715 * wide * wide)))")),
    mutated("the half left out", "operand", "factor 0.5 left out",
            _bent(f"wide * (1 + F.tanh({SLOPE} * (wide + 0.044715 * {CUBE})))")),
    catalogued("the factor x left out", "gelu_missing_x", "the factor x left out",
               _bent(f"0.5 * (1 + F.tanh({SLOPE} * (wide + 0.044715 * {CUBE})))")),
    mutated("the 1 left out", "operand", r"the 1 \+ left out",
            _bent(f"0.5 * wide * F.tanh({SLOPE} * (wide + 0.044715 * {CUBE}))")),
    mutated("a minus", "operator", "a minus for the plus",
            _bent(f"0.5 * wide * (1 - F.tanh({SLOPE} * (wide + 0.044715 * {CUBE})))")),
    seen("a bracket closed too early", "", "a bracket closed too early",
         _bent(f"0.5 * wide * (1 + F.tanh({SLOPE} * wide + 0.044715 * {CUBE}))")),
    seen("the activation after the second layer", "goruck/nilm#1",
         "x itself: no activation", _bent("wide"),
         (RESULT, 'return F.gelu(self.c_proj(bent), approximate="tanh")')),
    seen("an activation after the second layer too", "lucidrains/tab-transformer-pytorch#9",
         "gelu of the right result",
         (RESULT, 'return F.gelu(self.c_proj(bent), approximate="tanh")')),
    mutated("GELU twice", "operation", "GELU twice",
            _bent('F.gelu(F.gelu(wide, approximate="tanh"), approximate="tanh")')),
    mutated("GELU before the first layer", "order", "gelu of the right result",
            (WIDE, 'wide = self.c_fc(F.gelu(x, approximate="tanh"))'), _bent("wide")),
    seen("twice as wide", "", r"c_fc.weight \[2D, D\].*4 n_embd wide",
         *_sizes("2 * config.n_embd")),
    seen("no wider in the middle", "brightmart/text_classification#86", "4 n_embd wide",
         *_sizes("config.n_embd")),
    seen("GPT-2 small's width", "", "3072.*4 n_embd wide", *_sizes("3072")),
    mutated("no bias in the first layer", "operand", r"c_fc.bias.*bias \[4D\].*switched off",
            (WIDEN, WIDEN.replace("4 * config.n_embd)", "4 * config.n_embd, bias=False)"))),
    mutated("no bias in the second layer", "operand", r"c_proj.bias.*bias \[D\].*switched off",
            (NARROW, NARROW.replace("config.n_embd)", "config.n_embd, bias=False)"))),
    seen("the residual inside", "Visual-Attention-Network/VAN-Classification#4",
         r"the right result", (RESULT, "return x + self.c_proj(bent)")),
    mutated("sizes exchanged", "swap", "is one transposed, or another layer",
            (WIDEN, WIDEN.replace("config.n_embd, 4 * config.n_embd", "4 * config.n_embd, "
                                  "config.n_embd")),
            (NARROW, NARROW.replace("4 * config.n_embd, config.n_embd", "config.n_embd, "
                                    "4 * config.n_embd"))),
    seen("one layer only", "graykode/xlnet-Pytorch#16", "the layer that narrows is left out",
         (RESULT, "return bent")),
    seen("a third layer", "", "self|has no counterpart",
         (NARROW, f"{NARROW}\n        self.extra = Linear(config.n_embd, config.n_embd)")),
    seen("dropout", "", "dropout is only for training",
         (RESULT, "return F.dropout(self.c_proj(bent), 0.1)")),
    seen("dropout's factor", "", "the right result times 0.9",
         (RESULT, "return self.c_proj(bent) * 0.9")),
    seen("nothing returned", "", "ends without `return`", (RESULT, "self.c_proj(bent)")),
    seen("self forgotten", "", "is it `self.c_fc`", (WIDE, "wide = c_fc(x)")),
)  # fmt: skip
