"""Wrong solutions of step 13, serving."""

from verify.steps.wrong.mistake import Edit, mutated, of_step, seen

PROMPT = "if not isinstance(prompt, str) or not prompt:"
NUMBER = "if not isinstance(max_tokens, int) or max_tokens < 1:"
ROOM = "if ids.shape[1] + max_tokens > self.n_positions:"
GROWN = "grown = generate(self.logits, ids, max_tokens)"
TEXT = "text = self.decode(grown[0, ids.shape[1] :].tolist())"
BODY = 'body = self.rfile.read(int(self.headers["Content-Length"]))'
CHOICE = 'choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}'
ANSWER = 'return {"object": "text_completion", "choices": [choice], "usage": used}'


def _text(text: str) -> Edit:
    return TEXT, f"text = {text}"


MISTAKES = of_step(
    13,
    seen("the prompt in the answer", "", "prompt", _text("self.decode(grown[0].tolist())")),
    mutated("one token of the answer left out", "slice", "text|tokens",
            _text("self.decode(grown[0, ids.shape[1] + 1 :].tolist())")),
    mutated("the last token of the prompt in the answer", "slice", "text|prompt|tokens",
            _text("self.decode(grown[0, ids.shape[1] - 1 :].tolist())")),
    seen("ids for a text", "", "text|str", _text("grown[0, ids.shape[1] :].tolist()")),
    seen("a prompt that is a number accepted", "", "prompt|400|500", (PROMPT, "if not prompt:")),
    mutated("0 tokens accepted", "number", "max_tokens",
            (NUMBER, NUMBER.replace("< 1", "< 0"))),
    seen("more tokens than there is room for", "", "room|n_positions|400|long",
         (ROOM, "if ids.shape[1] > self.n_positions:")),
    mutated("one token too few has room", "operator", "room|n_positions|fit|full",
            (ROOM, ROOM.replace(">", ">="))),
    mutated("one token too many has room", "number", "room|n_positions|fit|400",
            (ROOM, ROOM.replace("self.n_positions:", "self.n_positions + 1:"))),
    mutated("max_tokens not kept", "number", "max_tokens|tokens",
            (GROWN, GROWN.replace("max_tokens)", "16)"))),
    seen("two clients at once", "", "at once|one call at a time|lock",
         (f"with self.lock:\n            {GROWN}", GROWN)),
    mutated("usage of the prompt alone", "value", "usage|total_tokens",
            ('"total_tokens": ids.shape[1] + max_tokens', '"total_tokens": ids.shape[1]')),
    mutated("counts exchanged", "swap", "usage|prompt_tokens",
            ('"prompt_tokens": ids.shape[1]', '"prompt_tokens": max_tokens'),
            ('"completion_tokens": max_tokens', '"completion_tokens": ids.shape[1]')),
    seen("the text outside of choices", "", "choices",
         (ANSWER, 'return {"object": "text_completion", "text": text, "usage": used}')),
    seen("one choice, and no list of them", "", "choices",
         (ANSWER, ANSWER.replace("[choice]", "choice"))),
    seen("a mistake of the client answered with 500", "", "400",
         ("self.send(400, {", "self.send(500, {")),
    seen("a mistake of the client answered with 200", "", "400",
         ("self.send(400, {", "self.send(200, {")),
    seen("a request that is no object", "", "JSON object|400|answer",
         (('if not isinstance(request, dict):\n                raise RequestError("a request is a '
          'JSON object")\n            answer'), "answer")),
    mutated("a byte of the request too few", "number", "bytes|Content-Length|400|request",
            (BODY, BODY.replace('"])', '"]) - 1'))),
    mutated("another ending", "value", "finish_reason",
            (CHOICE, CHOICE.replace('"length"', '"stop"'))),
)  # fmt: skip
