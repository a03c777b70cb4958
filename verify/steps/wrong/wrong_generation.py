"""Wrong solutions of step 12, generation."""

from verify.steps.wrong.mistake import Edit, mutated, of_step, seen

LOOP = "for _ in range(max_new_tokens):"
SCORES = "scores = logits(ids)[:, -1]"
CHOSEN = "chosen = scores.argmax(axis=-1)"
APPENDED = "ids = np.concatenate([ids, chosen[:, None]], axis=1)"
END = "    return ids"


def _scores(text: str) -> Edit:
    return SCORES, f"scores = {text}"


def _chosen(text: str) -> Edit:
    return CHOSEN, f"chosen = {text}"


MISTAKES = of_step(
    12,
    seen("the prompt dropped", "", "the new tokens alone",
         (END, "    return ids[:, -max_new_tokens:]")),
    seen("the first position's scores", "vllm-project/tpu-inference#125", "after position 0",
         _scores("logits(ids)[:, 0]")),
    mutated("the last position but one", "slice", "after the last position but one",
            _scores("logits(ids)[:, -2]")),
    seen("the last token alone given", "", "after the last token alone",
         _scores("logits(ids[:, -1:])[:, -1]")),
    seen("the scores of the first step kept", "xberg-io/xberg#1210", "the scores of the first step",
         (LOOP, f"first = logits(ids)[:, -1]\n    {LOOP}"), _scores("first")),
    seen("one token too few", "simpx/buildyourownllm#1", "one token too few",
         (LOOP, "for _ in range(max_new_tokens - 1):")),
    seen("one token too many", "EricLBuehler/mistral.rs#1539", "one token too many",
         (LOOP, "for _ in range(max_new_tokens + 1):")),
    seen("max_new_tokens for the length of all", "",
         "is counted with the prompt",
         (LOOP, "for _ in range(max_new_tokens - ids.shape[1]):")),
    seen("the first row for all", "fishaudio/fish-speech#1326", "row 1.*it is row 0's",
         _scores("logits(ids)[[0] * len(ids), -1]")),
    mutated("the least likely token", "reduction", "the least likely one",
            _chosen("scores.argmin(axis=-1)")),
    mutated("the largest in size", "operation", "the largest in size, whatever its sign",
            _chosen("np.abs(scores).argmax(axis=-1)")),
    mutated("the second likeliest", "index", "the second likeliest",
            _chosen("scores.argsort(axis=-1)[:, -2]")),
    mutated("along another axis", "axis", "axis|dimensions",
            _chosen("scores.argmax(axis=0)")),
    mutated("over all positions at once", "axis", "the largest score of any position",
            _scores("logits(ids)"), _chosen("scores.max(axis=1).argmax(axis=-1)")),
    mutated("the mean of all positions", "reduction", "of all positions together",
            _scores("logits(ids).mean(axis=1)")),
    seen("a token of one axis", "Aleph-Alpha-Research/magma#43", r"\[B, 1\]",
         (APPENDED, "ids = np.concatenate([ids, chosen], axis=1)")),
    seen("appended as a row", "", r"axis=1|along which axis",
         (APPENDED, "ids = np.concatenate([ids, chosen[:, None]], axis=0)")),
    seen("put in front", "", "it comes after the new tokens",
         (APPENDED, "ids = np.concatenate([chosen[:, None], ids], axis=1)")),
    seen("appended and not kept", "", "is the result of the step kept",
         (APPENDED, "np.concatenate([ids, chosen[:, None]], axis=1)")),
    seen("the caller's prompt changed", "", "changes the caller's prompt",
         (APPENDED, f"ids[:, 0] = ids[:, 0] * 0\n        {APPENDED}")),
    seen("the window cut to the last three", "", "the last 3 tokens alone",
         _scores("logits(ids[:, -3:])[:, -1]"), (END, "    return ids")),
    seen("returned after the first token", "", "tokens too few",
         (APPENDED, f"{APPENDED}\n        return ids")),
    seen("floats returned", "", "returns float64, not integers|integers",
         (END, "    return ids.astype(np.float64)")),
    seen("scores appended", "", "integers|a score", _chosen("scores.max(axis=-1)")),
    mutated("an id too high", "number", "beside the likeliest|not in 0",
            _chosen("scores.argmax(axis=-1) + 1")),
    seen("probabilities sampled", "", "not the likeliest",
         _chosen("np.array([np.random.default_rng(7).choice(len(row), "
                 "p=np.exp(row) / np.exp(row).sum()) for row in scores.astype(np.float64)])")),
    seen("a list returned", "", "returns a list, not an array",
         (END, "    return ids.tolist()")),
    seen("nothing returned", "", "returns None, not an array", (END, "    ids")),
    seen("tokens backwards", "", "the tokens backwards|backwards",
         _scores("logits(ids[:, ::-1])[:, -1]")),
    mutated("the last token repeated", "value", "repeats the last token",
            _chosen("ids[:, -1]")),
)  # fmt: skip
