"""What is timed, under the names that llama-bench's users know.

- `pp128`: a forward pass over a prompt of 128 tokens, logits of all positions (`pp128 last`: of the
  last one only).
- `tg16 @ d32`: 16 tokens generated greedily, one decode step each, behind a context of 32. The
  pass over the context gives the first token; its time is the time to first token, and no part of
  the 16 steps'. So there are 17 new tokens, and 16 durations between them.

Token ids and logits travel between host and device inside the timed region, for every arm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

Logits = Literal["all", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One thing to time.

    Attributes:
        batch: rows.
        n_prompt: tokens of a timed forward pass, 0 where tokens are generated.
        n_gen: decode steps of each row, 0 for a forward pass.
        n_depth: tokens of the context that generation continues.
        logits: the positions whose logits a forward pass gives.
    """

    batch: int
    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0
    logits: Logits = "all"

    @property
    def name(self) -> str:
        """`pp128`, `tg16 @ d32`; with a batch of more than one, `pp128 b4`."""
        if self.n_gen:
            parts = [f"tg{self.n_gen} @ d{self.n_depth}"]
        else:
            parts = [f"pp{self.n_prompt}"] + (["last"] if self.logits == "last" else [])
        return " ".join(parts + ([f"b{self.batch}"] if self.batch > 1 else []))

    @property
    def logits_policy(self) -> Logits:
        """The positions whose logits every arm computes."""
        return "last" if self.n_gen else self.logits

    @property
    def prompt_length(self) -> int:
        """Tokens of each row that the arm is given; a context of 0 is the one token it needs."""
        return max(1, self.n_depth) if self.n_gen else self.n_prompt

    @property
    def length(self) -> int:
        """Positions of each row in the end."""
        return self.prompt_length + self.n_gen

    @property
    def n_new(self) -> int:
        """New tokens of each row: the context's pass gives one, each step another."""
        return self.n_gen + 1 if self.n_gen else 0

    @property
    def tokens(self) -> int:
        """What `tok_s` counts: tokens of the prompt for `pp`, of the timed steps for `tg`."""
        return self.batch * (self.n_gen or self.n_prompt)

    def as_dict(self) -> dict[str, Any]:
        """The fields, to be sent to a worker: `Workload(**fields)` is the same again."""
        return asdict(self)


def workloads(
    prompts: Sequence[int],
    generated: Sequence[int],
    depths: Sequence[int],
    batches: Sequence[int],
    logits: Logits = "all",
) -> list[Workload]:
    """Every forward pass, then every generation, for each batch size; a size of 0 asks for none."""
    passes = [Workload(batch=b, n_prompt=n, logits=logits) for b in batches for n in prompts if n]
    return passes + [
        Workload(batch=b, n_gen=n, n_depth=d)
        for b in batches for d in depths for n in generated if n
    ]  # fmt: skip


def prompt_ids(workload: Workload, vocab_size: int, seed: int, block: int) -> Array:
    """The token ids of one block, the same in every process: int64 `[batch, prompt_length]`."""
    shape = workload.batch, workload.prompt_length
    rng = np.random.default_rng([seed, block, workload.n_gen, *shape])
    return rng.integers(vocab_size, size=shape, dtype=np.int64)
