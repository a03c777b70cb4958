"""Wrong solutions of steps 5 and 6, the embeddings of tokens and of positions."""

from verify.steps.wrong.mistake import catalogued, mutated, of_step, seen

TOKENS = "self.weight = Tensor.zeros([config.vocab_size, config.n_embd])"
ROWS = "return F.gather(self.weight, input_ids, axis=0)"

PLACES = "self.weight = Tensor.zeros([config.n_positions, config.n_embd])"
LENGTH = "length = input_ids.shape[-1]"
COUNTED = "positions = F.arange(0, length, dtype=DType.int64, device=input_ids.device)"
LOOKED_UP = "return F.gather(self.weight, positions.unsqueeze(0), axis=0)"

OF_TOKENS = of_step(
    5,
    seen("scaled by sqrt(n_embd)", "harvardnlp/annotated-transformer#121",
         r"times sqrt\(n_embd\) = 8", (ROWS, f"{ROWS} * int(self.weight.shape[1]) ** 0.5")),
    catalogued("ids one too high", "token_shifted", "looks up row 97.*nothing is added",
               (ROWS, "return F.gather(self.weight, input_ids + 1, axis=0)")),
    mutated("ids one too low", "index", "the row of the id before it",
            (ROWS, "return F.gather(self.weight, input_ids - 1, axis=0)")),
    mutated("the first row for all", "slice", "the rows of the batch's first row",
            (ROWS, "return F.gather(self.weight, 0 * input_ids + input_ids[0:1], axis=0)")),
    mutated("rows and columns exchanged", "swap", r"\[B, S, V\].*rows and columns of the table",
            (TOKENS, "self.weight = Tensor.zeros([config.n_embd, config.vocab_size])")),
    seen("a table of positions", "", r"weight \[P, D\].*a row for each position",
         (TOKENS, TOKENS.replace("vocab_size", "n_positions"))),
    seen("GPT-2 small's vocabulary", "", "50257.*no more and no fewer",
         (TOKENS, TOKENS.replace("config.vocab_size", "50257"))),
    seen("a padded vocabulary", "karpathy/nanoGPT", "no more and no fewer",
         (TOKENS, TOKENS.replace("config.vocab_size", "config.vocab_size + 31"))),
    mutated("axes exchanged", "permutation", "axes are in another order",
            (ROWS, f"{ROWS}.transpose(1, 2)")),
    mutated("the last token alone", "slice", "one position of each row",
            (ROWS, "return F.gather(self.weight, input_ids[:, -1:], axis=0)")),
    seen("the mean of all tokens", "", "or their mean",
         (ROWS, "return F.mean(F.gather(self.weight, input_ids, axis=0), axis=1)")),
    mutated("an activation", "activation", "clamped, nothing below 0",
            (ROWS, "return F.relu(F.gather(self.weight, input_ids, axis=0))")),
    seen("the next token's row", "", "the result of the token after it",
         (ROWS, ("moved = F.concat([input_ids[:, 1:], input_ids[:, :1]], axis=1)\n"
          "        return F.gather(self.weight, moved, axis=0)"))),
    seen("a running sum", "", "the running sum along the sequence",
         (ROWS, "return F.cumsum(F.gather(self.weight, input_ids, axis=0), axis=1)")),
    seen("rows and positions in one axis", "", "share an axis",
         (ROWS, "return F.gather(self.weight, input_ids.reshape([-1]), axis=0)")),
    seen("the table itself", "", "whole table", (ROWS, "return self.weight")),
    seen("vectors of length 1", "", "the unit vector of the right result",
         (ROWS, ("rows = F.gather(self.weight, input_ids, axis=0)\n"
          "        return rows * F.rsqrt(F.sum(rows * rows, axis=-1))"))),
    seen("positions too", "", "a second table; positions are step 6",
         (TOKENS, (f"{TOKENS}\n        self.wpe = Tensor.zeros([config.n_positions, "
          "config.n_embd])")),
         (ROWS, "return F.gather(self.weight, input_ids, axis=0) + self.wpe[0:1]")),
    seen("a Linear layer of ids", "", "whole numbers and floats are mixed",
         (TOKENS, ("self.weight = Tensor.zeros([config.vocab_size, config.n_embd])\n"
          "        self.scale = 1")),
         (ROWS, "return input_ids @ self.weight")),
    seen("a copy that is not held", "", "holds no parameters.*self.name = ",
         (TOKENS, "self.width = config.n_embd\n        weight = Tensor.zeros([97, 64])"),
         (ROWS, "return F.gather(Tensor.zeros([97, 64]), input_ids, axis=0)")),
)  # fmt: skip

OF_POSITIONS = of_step(
    6,
    seen("positions from 1", "rasbt/LLMs-from-scratch#49", "positions 1, 2, 3",
         (COUNTED, f"{COUNTED} + 1")),
    catalogued("counted from 1 to S", "pos_off_by_one", "positions 1, 2, 3",
               (COUNTED, COUNTED.replace("0, length,", "1, length + 1,"))),
    seen("positions from 2", "kyegomez/zeta#113", "positions shifted by 2",
         (COUNTED, f"{COUNTED} + 2")),
    mutated("from the end", "position", "positions one too early|the token before it",
            (COUNTED, f"{COUNTED} - 1")),
    seen("token ids for positions", "", "looks up row 9.*are ids used as positions",
         (LOOKED_UP, "return F.gather(self.weight, input_ids, axis=0)")),
    seen("token ids, kept inside of the table", "", "from one row of the batch to the other.*ids",
         (LOOKED_UP, "return F.gather(self.weight, input_ids % 48, axis=0)")),
    seen("all positions", "", r"\[1, P, D\].*there are S tokens",
         (LENGTH, "length = self.weight.shape[0]")),
    seen("the batch's rows counted", "cmu-l3/anlp-fall2025-code#1",
         "as many positions as the batch has rows", (LENGTH, "length = input_ids.shape[0]")),
    mutated("position 0 for all", "position", "position|positions",
            (COUNTED, f"{COUNTED} * 0")),
    mutated("backwards", "position", "the positions backwards",
            (COUNTED, f"{COUNTED}\n        positions = length - 1 - positions")),
    mutated("every second one", "position", "looks up row 48.*multiplied",
            (COUNTED, f"{COUNTED} * 2")),
    mutated("every one twice", "position", "every position twice", (COUNTED, f"{COUNTED} // 2")),
    seen("begins anew after 8", "", "begin anew after 8", (COUNTED, f"{COUNTED} % 8")),
    mutated("one too few", "number", "S - 1.*one position too few",
            (COUNTED, COUNTED.replace("0, length,", "0, length - 1,"))),
    mutated("without the first", "number", "S - 1.*one position too few",
            (COUNTED, COUNTED.replace("0, length,", "1, length,"))),
    seen("an axis in the wrong place", "bbruceyuan/LLMs-Zero-to-Hero#3",
         "axis of size 1 is in the wrong place",
         (LOOKED_UP, LOOKED_UP.replace("unsqueeze(0)", "unsqueeze(1)"))),
    seen("a table of tokens", "", r"weight \[V, D\].*a row for each token",
         (PLACES, PLACES.replace("n_positions", "vocab_size"))),
    seen("GPT-2's own context", "", "1024.*no more and no fewer",
         (PLACES, PLACES.replace("config.n_positions", "1024"))),
    seen("positions that are floats", "", "looked up by whole numbers",
         (COUNTED, COUNTED.replace("int64", "float32"))),
    seen("scaled", "", r"times sqrt\(n_embd\) = 8", (LOOKED_UP, f"{LOOKED_UP} * 8")),
    seen("a sine of them", "", "sin of the right result",
         (LOOKED_UP, f"{LOOKED_UP.replace('return ', 'return F.sin(')})")),
    mutated("a running sum", "operation", "the running sum along the sequence",
            (LOOKED_UP, f"{LOOKED_UP.replace('return ', 'return F.cumsum(')}, axis=1)")),
    mutated("the last one alone", "slice", "one position alone",
            (LOOKED_UP, f"{LOOKED_UP}[:, -1:]")),
    seen("a Tensor read backwards", "", "cannot be read backwards",
         (LOOKED_UP, LOOKED_UP.replace("positions.unsqueeze", "positions[::-1].unsqueeze"))),
)  # fmt: skip

MISTAKES = (*OF_TOKENS, *OF_POSITIONS)
