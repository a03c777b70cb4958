"""Wrong solutions of step 14, the KV cache."""

from verify.steps.wrong.mistake import Edit, mutated, of_step, seen

POSITIONS = "past, past + length, out_dim=length, dtype=DType.int64, device=input_ids.device"
EMBEDDED = "x = gpt2.wte(input_ids) + F.gather(gpt2.wpe.weight, positions, axis=0)"
WHOLE = "whole = causal_mask(past + length, x.dtype, x.device)"
MASK = "mask = F.gather(whole, positions, axis=0)"
BLOCK = "block.attn, block.ln_1(x), keys[layer], values[layer], mask"
ATTENDED, REST = "x = x + mixed", "x = x + block.mlp(block.ln_2(x))"
LOGITS = "logits = gpt2.ln_f(x) @ gpt2.wte.weight.T"
RETURNED = "return logits, F.stack(kept_keys), F.stack(kept_values)"
CHUNKS = "query, key, value = F.chunk(attention.c_attn(x), 3, axis=-1)"
KEYS, VALUES = "keys = F.concat([keys, key], axis=2)", "values = F.concat([values, value], axis=2)"
SCORES = "scores = query @ keys.transpose(-2, -1) / math.sqrt(attention.head_dim)"
MIXED = "mixed = F.softmax(scores + mask, axis=-1) @ values"


def _counted(text: str) -> Edit:
    return POSITIONS, POSITIONS.replace("past, past + length", text)


MISTAKES = of_step(
    14,
    seen("positions from 0 again", "xberg-io/xberg#1210", "positions are counted from 0 again",
         (EMBEDDED, ("anew = F.arange(0, length, dtype=DType.int64, device=input_ids.device)\n"
          "        x = gpt2.wte(input_ids) + F.gather(gpt2.wpe.weight, anew, axis=0)"))),
    mutated("positions one too high", "position", "counted one too high",
            (EMBEDDED, EMBEDDED.replace("positions,", "positions + 1,"))),
    seen("no mask", "", "several at once are not|scale, mask, softmax",
         (MIXED, MIXED.replace("scores + mask", "scores"))),
    seen("the mask's first rows", "", "attention over cached keys is wrong",
         (MASK, ("anew = F.arange(0, length, dtype=DType.int64, device=input_ids.device)\n"
          "        mask = F.gather(whole, anew, axis=0)"))),
    mutated("keys and values exchanged in what is returned", "swap", "are exchanged",
            (RETURNED, "return logits, F.stack(kept_values), F.stack(kept_keys)")),
    seen("new keys in front", "", "the new ones stand before those that were cached",
         (KEYS, "keys = F.concat([key, keys], axis=2)"),
         (VALUES, "values = F.concat([value, values], axis=2)")),
    mutated("new keys in front, values behind", "order", "stand before|have changed|wrong",
            (KEYS, "keys = F.concat([key, keys], axis=2)")),
    seen("the new ones alone returned", "", r"have shape .*\[L, B, H, P \+ S, head_dim\]",
         (KEYS, "every = F.concat([keys, key], axis=2)"),
         (SCORES, SCORES.replace("keys.", "every.")),
         ("attention.merge_heads(mixed)), keys, values",
          "attention.merge_heads(mixed)), key, values")),
    seen("every block has the first one's", "", "those that were cached are block 0's",
         (BLOCK, "block.attn, block.ln_1(x), keys[0], values[0], mask")),
    seen("the norm of attention left out", "", "those of the new tokens are wrong",
         (BLOCK, BLOCK.replace("block.ln_1(x)", "x"))),
    mutated("no residual around attention", "operand", "residuals", (ATTENDED, "x = mixed")),
    mutated("no residual around the MLP", "operand", "residuals",
            (REST, "x = block.mlp(block.ln_2(x))")),
    mutated("no MLP", "operation", "what step 11 gives|residuals", (REST, "pass")),
    mutated("no scale", "operand", "scale, mask, softmax",
            (SCORES, "scores = query @ keys.transpose(-2, -1)")),
    mutated("no last norm", "operation", "ln_f",
            (LOGITS, "logits = x @ gpt2.wte.weight.T")),
    mutated("the table of positions for the head", "weight", r"\[B, S, V\]",
            (LOGITS, LOGITS.replace("wte", "wpe"))),
    seen("the last token's logits alone", "", r"logits have shape.*\[B, S, V\]",
         (LOGITS, "logits = gpt2.ln_f(x)[:, -1:] @ gpt2.wte.weight.T")),
    seen("key, query, value", "", "those of the new tokens are wrong",
         (CHUNKS, CHUNKS.replace("query, key, value =", "key, query, value ="))),
    mutated("query, value, key", "order", "are exchanged|wrong",
            (CHUNKS, CHUNKS.replace("query, key, value =", "query, value, key ="))),
    seen("logits alone returned", "", "not three tensors", (RETURNED, "return logits")),
    mutated("joined along the heads", "axis", "have shape|axes are matched|another layer|raises",
            (KEYS, KEYS.replace("axis=2", "axis=1")), (VALUES, VALUES.replace("axis=2", "axis=1"))),
    seen("a cache of its own", "", "its parameters are not GPT-2's",
         ("super().__init__(config)  # the same parts, under the same names",
          "super().__init__(config)\n        self.keys = Tensor.zeros([2, 3])")),
    seen("the cached ones not looked at", "", "attention over cached keys is wrong",
         (SCORES, ("length = query.shape[2]\n"
          "    scores = query @ key.transpose(-2, -1) / math.sqrt(attention.head_dim)")),
         (MIXED, ("mixed = F.softmax(scores + causal_mask(length, x.dtype, x.device), axis=-1) "
          "@ value"))),
)  # fmt: skip
