"""`python -m bench.serving.truth MODEL [REVISION]`: right answers, by Hugging Face's, in float64.

One JSON object a line is read from standard input, and one a line written to standard output:

    {"do": "greedy", "prompts": [ids], "n_new"}
        {"continuations": [ids]}
    {"do": "judge", "prompts": [ids], "answers": [ids], "dtype"}
        {"verdicts": [what is wrong; empty where it is right]}

An answer that differs from the greedy one is right where the server's arithmetic may have decided
a tie the other way: the float64 logit of each of its tokens, on its own tokens before, is below
the best by no more than `bench.judge.agreement` allows in that dtype.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.judge.agreement import COARSE_FACTOR, RELATIVE_BOUND, compare_tokens, is_coarse
from bench.worker.allowance import Allowances
from bench.workload.workload import Workload
from reference.huggingface import load_model
from reference.load import load
from reports.commands import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reference.checkpoint import Checkpoint

AT_ONCE = 32


def main() -> int:
    """Answer until there are no more questions."""
    end_with_parent(os.getppid())
    name, *rest = sys.argv[1:]
    checkpoint = load(name, revision=rest[0] if rest else None)
    model = load_model(checkpoint, torch.float64)
    with torch.inference_mode():
        for line in sys.stdin:
            asked = json.loads(line)
            if asked["do"] == "greedy":
                found: dict[str, Any] = {"continuations": _greedy_all(model, asked)}
            else:
                found = {"verdicts": _verdicts(model, checkpoint, asked)}
            print(json.dumps(found), flush=True)
    return 0


def _greedy_all(model: Any, asked: Mapping[str, Any]) -> list[list[int]]:
    prompts = asked["prompts"]
    alike: dict[int, list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        alike[len(prompt)].append(number)
    found: dict[int, list[int]] = {}
    for numbers in alike.values():
        for start in range(0, len(numbers), AT_ONCE):
            some = numbers[start : start + AT_ONCE]
            rows = torch.tensor([prompts[number] for number in some])
            found |= dict(zip(some, greedy(model, rows, asked["n_new"]), strict=True))
    return [found[number] for number in range(len(prompts))]


def greedy(model: Any, rows: torch.Tensor, n_new: int) -> list[list[int]]:
    """Greedy continuations of rows of equal length, with the model's own cache."""
    past, new = None, []
    for _ in range(n_new):
        out = model(rows, past_key_values=past, use_cache=True)
        rows, past = out.logits[:, -1:].argmax(dim=-1), out.past_key_values
        new.append(rows)
    continuations: list[list[int]] = torch.cat(new, dim=1).tolist()
    return continuations


def _verdicts(model: Any, checkpoint: Checkpoint, asked: Mapping[str, Any]) -> list[str]:
    allowances = Allowances(checkpoint, load_model(checkpoint, torch.float32))
    pairs = zip(asked["prompts"], asked["answers"], strict=True)
    return [judged(model, allowances, p, a, asked["dtype"]) for p, a in pairs]


def judged(
    model: Any, allowances: Allowances, prompt: Sequence[int], answer: Sequence[int], dtype: str
) -> str:
    """What is wrong with an answer of token ids; empty where it is right."""
    logits = model(torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0]
    expected = logits[len(prompt) - 1 : -1].numpy()[None]
    ratio = RELATIVE_BOUND
    if is_coarse(dtype):
        work = Workload(batch=1, n_gen=len(answer) - 1, n_depth=len(prompt))
        ratio = COARSE_FACTOR * allowances.ratio(work, dtype)
    allowed = ratio * float(np.abs(expected).max())
    return compare_tokens(np.array([answer]), len(answer), expected, allowed).message


if __name__ == "__main__":
    sys.exit(main())
