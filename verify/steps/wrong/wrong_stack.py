"""Wrong solutions of step 10, the stack of blocks."""

from verify.steps.wrong.mistake import Edit, catalogued, mutated, of_step, seen

BLOCKS = "self.h = ModuleList([GPT2Block(config) for _ in range(config.n_layer)])"
EMBEDDED = "x = self.wte(input_ids) + self.wpe(input_ids)"
LOOP, STEP = "for block in self.h:", "x = block(x)"
RESULT = "return self.ln_f(x)"
NORM = "self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)"


def _embedded(text: str) -> Edit:
    return EMBEDDED, f"x = {text}"


def _step(text: str) -> Edit:
    return STEP, f"x = {text}"


MISTAKES = of_step(
    10,
    catalogued("no last norm", "ln_f_missing", "ln_f before the head|the norm is left out",
               (RESULT, "return x")),
    seen("one block n times", "zalandoresearch/pytorch-vq-vae#2",
         r"1 block, and n_layer is 2: \[Block\(config\)\] \* n",
         (BLOCKS, "self.h = ModuleList([GPT2Block(config)] * config.n_layer)")),
    seen("one block", "espnet/espnet#1278", "1 block, and n_layer is 2",
         (BLOCKS, "self.h = ModuleList([GPT2Block(config)])")),
    seen("twelve blocks, as GPT-2 has", "", "12 blocks, and n_layer is 2: read config.n_layer",
         (BLOCKS, BLOCKS.replace("config.n_layer", "12"))),
    seen("one block too few", "LukasHedegaard/continual-inference#70", "this block left out",
         (LOOP, "for block in list(self.h)[:-1]:")),
    catalogued("the first block left out", "layer_dropped", "this block left out",
               (LOOP, "for block in list(self.h)[1:]:")),
    mutated("backwards", "order", "the blocks in the reverse order",
            (LOOP, "for block in reversed(list(self.h)):")),
    seen("each block reads the embeddings", "Atcold/NYU-DLSP20#270",
         "reads the embeddings and not what the block before returned",
         (EMBEDDED, f"{EMBEDDED}\n        embedded = x"), _step("block(embedded)")),
    mutated("the first block twice", "value", "the next block's weights|another block's",
            (LOOP, "for _ in range(len(list(self.h))):"), _step("self.h[0](x)")),
    seen("a residual around each block", "", "the embeddings are added again|added",
         _step("x + block(x)")),
    mutated("no positions", "operand", "position embedding",
            _embedded("self.wte(input_ids)")),
    mutated("no tokens", "operand", "the token embeddings are left out",
            _embedded("self.wpe(input_ids) + 0 * self.wte(input_ids)")),
    seen("positions twice", "DSPsleeporg/smiles-transformer#22", "added twice",
         _embedded("self.wte(input_ids) + self.wpe(input_ids) + self.wpe(input_ids)")),
    mutated("multiplied", "operator", "wte times wpe",
            _embedded("self.wte(input_ids) * self.wpe(input_ids)")),
    seen("tokens scaled", "pytorch/examples#854", "token embeddings are scaled",
         _embedded("self.wte(input_ids) * 8 + self.wpe(input_ids)")),
    seen("the last norm in front", "", "the last norm in front of the blocks",
         (EMBEDDED, f"{EMBEDDED}\n        x = self.ln_f(x)"), (RESULT, "return x")),
    seen("the last norm after each block", "", "the last norm inside the loop",
         _step("self.ln_f(block(x))"), (RESULT, "return x")),
    mutated("the last norm twice", "operation", "normalised twice",
            (RESULT, "return self.ln_f(self.ln_f(x))")),
    mutated("no blocks", "operation", "this block left out", _step("x")),
    mutated("another epsilon", "number", "ln_f: found eps = 1e-6",
            (NORM, NORM.replace("config.layer_norm_epsilon", "1e-6"))),
    seen("positions before each block", "", "in front of each block",
         _embedded("self.wte(input_ids)"), _step("block(x + self.wpe(input_ids))")),
    seen("the last token alone", "", "one position of each row",
         (RESULT, "return self.ln_f(x)[:, -1:]")),
    seen("a residual around the last norm", "", "a residual around the last norm",
         (RESULT, "return x + self.ln_f(x)")),
    seen("the embeddings added at the end", "", "the embeddings are added again",
         (EMBEDDED, f"{EMBEDDED}\n        embedded = x"),
         (RESULT, "return self.ln_f(x + embedded)")),
    seen("returned inside of the loop", "", "this block left out",
         (f"{STEP}  # [B, S, D]", f"{STEP}\n            return self.ln_f(x)")),
    seen("a list returned", "", "return the tensor itself", (RESULT, "return [self.ln_f(x)]")),
)  # fmt: skip
