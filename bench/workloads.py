"""What is timed, under the names that llama-bench's users know.

- `pp128`: a forward pass over a prompt of 128 tokens, logits of all positions.
- `tg16`: 16 tokens generated greedily after a prompt of `n_depth` tokens, from the prompt's ids to
  the last new id; only the logits of the last position are computed. Unlike llama-bench's, the
  time includes the pass over the prompt, without which the first token cannot be had.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One thing to time.

    Attributes:
        batch: rows.
        n_prompt: tokens of a timed forward pass, 0 where tokens are generated.
        n_gen: new tokens of each row, 0 for a forward pass.
        n_depth: tokens of the prompt that generation continues.
    """

    batch: int
    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0

    @property
    def name(self) -> str:
        """`pp128`, `tg16`; with a batch of more than one, `pp128 b4`."""
        short = f"tg{self.n_gen}" if self.n_gen else f"pp{self.n_prompt}"
        return short if self.batch == 1 else f"{short} b{self.batch}"

    @property
    def logits_policy(self) -> Literal["all", "last"]:
        """The positions whose logits every arm computes."""
        return "last" if self.n_gen else "all"

    @property
    def prompt_length(self) -> int:
        """Tokens of each row that the arm is given."""
        return self.n_depth if self.n_gen else self.n_prompt

    @property
    def length(self) -> int:
        """Tokens of each row in the end, prompt and new ones."""
        return self.prompt_length + self.n_gen

    @property
    def tokens(self) -> int:
        """What `tok_s` counts: tokens of the prompt for `pp`, new tokens for `tg`."""
        return self.batch * (self.n_gen or self.n_prompt)

    def as_dict(self) -> dict[str, int]:
        """The fields, to be sent to a worker: `Workload(**fields)` is the same again."""
        return asdict(self)


def workloads(
    prompts: Sequence[int], generated: Sequence[int], batches: Sequence[int], depth: int
) -> list[Workload]:
    """Every forward pass, then every generation, for each batch size; a size of 0 asks for none."""
    return [
        *(Workload(batch=b, n_prompt=n) for b in batches for n in prompts if n),
        *(Workload(batch=b, n_gen=n, n_depth=depth) for b in batches for n in generated if n),
    ]


def prompt_ids(workload: Workload, vocab_size: int, seed: int, block: int) -> Array:
    """The token ids of one block, the same in every process: int64 `[batch, prompt_length]`."""
    shape = workload.batch, workload.prompt_length
    rng = np.random.default_rng([seed, block, workload.n_gen, *shape])
    return rng.integers(vocab_size, size=shape, dtype=np.int64)
