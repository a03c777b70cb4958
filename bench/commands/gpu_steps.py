"""What `python -m bench gpu` runs, step by step, as data: on an NVIDIA GPU, or rehearsed on a CPU.

TF32 keeps 10 bits of the factors of a float32 product. PyTorch leaves it off unless it is asked for
(`torch.set_float32_matmul_precision`), ONNX Runtime has it on. MAX 26.7 decides by itself and has
no option: its large float32 products take it. `NVIDIA_TF32_OVERRIDE=0`, the switch of NVIDIA's own
libraries, keeps cuBLAS from it, and with it what MAX leaves to cuBLAS; kernels of MAX's own do not
read it. So each question is asked twice: with that switch, where only float32's error is allowed,
and as MAX ships, where a TF32 model is told by its error (`verify`'s `precision` check names it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TF32 = "MAX_GPT2_TF32"
"""Environment variable: whether the peers on the GPU may use TF32, `on` or `off`; where it is not
set, each does as its maker chose. Read by their arms (`bench/arms/tf32.py`)."""

OFF = {"NVIDIA_TF32_OVERRIDE": "0", TF32: "off"}
ON = {TF32: "on"}
STOCK = {"MAX_GPT2_KERNELS": "stock"}
"""The graph that a GPU takes, on a CPU."""

PEERS = "max,torch,torch-compile,onnxruntime"
TINY, SMALL = "tiny", "random:gpt2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command.

    Attributes:
        name: of its log and of its row in the summary.
        what: it answers, in a few words.
        words: of the command line, after the interpreter.
        minutes: that it takes, estimated.
        variables: of its environment.
        answers: whether it takes `--json`.
        telling: the number of the line that sums it up, of what one prints that does not.
    """

    name: str
    what: str
    words: tuple[str, ...]
    minutes: float
    variables: Mapping[str, str] = field(default_factory=dict)
    answers: bool = True
    telling: int = -1

    @property
    def line(self) -> str:
        """The command as a shell takes it."""
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        words = [f'"{word}"' if " " in word else word for word in self.words]
        return " ".join([*variables, "python", *words])


SURROUNDINGS = Step(
    name="surroundings", what="what will spoil a measurement", words=("-m", "bench", "env"),
    minutes=0.2, answers=False, telling=0,
)  # fmt: skip


def steps(*, on_cpu: bool) -> list[Step]:
    """The whole plan.

    Args:
        on_cpu: whether it is rehearsed: on the CPU, with the graph that a GPU takes, at sizes that
            show no more than that each step runs.
    """
    return list(_rehearsed() if on_cpu else _on_gpu())


def _on_gpu() -> Iterator[Step]:
    yield SURROUNDINGS
    yield Step(
        name="kernels", what="which kernels an engine takes there, and that they run",
        words=("-m", "pytest", "-q", "-m", "gpu", "tests"), minutes=4, answers=False,
    )  # fmt: skip
    for model, sizes, minutes in (
        (TINY, "", 5), (SMALL, " --lengths 1,33,128 --batch 1,4", 12),
    ):  # fmt: skip
        name = model.rpartition(":")[2]
        verify = f"verify --device gpu --model {model}{sizes}"
        engines = " --engines auto,stock"
        yield step(
            f"verify-{name}-float32", "float32, cuBLAS without TF32", verify + engines, minutes, OFF
        )
        yield step(f"verify-{name}-tf32", "float32 as MAX ships it, TF32 included",
                   f"{verify} --tf32{engines}", minutes, ON)  # fmt: skip
        yield step(f"verify-{name}-bfloat16", "bfloat16",
                   f"{verify} --dtype bfloat16 --engines none", minutes)  # fmt: skip
    yield from _benchmarks(
        "gpu", small=" -p 128,512,1000 -n 64 -d 128 -b 1,8 --budget 8m", tiny=" --budget 4m",
        budgets=(4, 8),
    )  # fmt: skip
    yield step("ceilings", "what the GPU reads and multiplies at most",
               f"bench ceilings --device gpu --model {TINY}", 1)  # fmt: skip


def _benchmarks(
    device: str, *, small: str, tiny: str, budgets: tuple[float, float]
) -> Iterator[Step]:
    """The benchmarks of both models: float32 without and with TF32, and bfloat16."""
    for model, sizes, minutes in ((TINY, tiny, budgets[0]), (SMALL, small, budgets[1])):
        if not sizes:
            continue
        name = model.rpartition(":")[2]
        bench = f"bench run --device {device} --model {model}{sizes}"
        yield step(f"bench-{name}-float32", "beside peers, without TF32",
                   f"{bench} --arms {PEERS}", minutes, OFF)  # fmt: skip
        yield step(f"bench-{name}-tf32", "beside peers, with TF32",
                   f"{bench} --arms {PEERS}", minutes, ON)  # fmt: skip
        yield step(f"bench-{name}-bfloat16", "bfloat16; the stock graph has none, as a row says",
                   f"{bench} --arms max,max-bf16,torch,torch-bf16", minutes, ON)  # fmt: skip
        yield step(f"bench-{name}-kernels", "the kernels' choice: auto, stock, no cache",
                   f"{bench} --arms max,max-stock,max-readable,torch", minutes, ON)  # fmt: skip


def _rehearsed() -> Iterator[Step]:
    """The same steps on a CPU; what a device alone can tell is left out."""
    yield SURROUNDINGS
    yield Step(
        name="kernels", what="which kernels an engine takes",
        words=("-m", "pytest", "-q", "tests/impl/choosing/test_kernel_choice.py"), minutes=0.5,
        variables=STOCK, answers=False,
    )  # fmt: skip
    verify, short = "verify --device cpu --model tiny", " --regimes given,stress --lengths 1,33"
    for name, words, variables in (
        ("float32", f"{short} --engines auto,stock", OFF),
        ("tf32", f"{short} --tf32 --engines auto,stock", ON),
        ("bfloat16", " --dtype bfloat16 --engines none", {}),  # short cases lack the power
    ):  # fmt: skip
        yield step(f"verify-tiny-{name}", f"{name}, the stock graph", f"{verify}{words}", 2,
                   {**variables, **STOCK})  # fmt: skip
    for one in _benchmarks(
        "cpu", tiny=" -p 9 -n 2 -d 4 --processes 1 --blocks 2", small="", budgets=(1.5, 0)
    ):
        yield Step(
            name=one.name, what=one.what, words=one.words, minutes=one.minutes,
            variables={**one.variables, **STOCK},
        )  # fmt: skip
    yield step("ceilings", "what the CPU reads and multiplies at most",
               "bench ceilings --device cpu --model tiny", 0.5)  # fmt: skip


def step(
    name: str, what: str, line: str, minutes: float, variables: Mapping[str, str] | None = None
) -> Step:
    """One command of this project with `--json`: `bench run ...` or `verify ...`."""
    return Step(
        name=name, what=what, words=("-m", *line.split()), minutes=minutes,
        variables=variables or {},
    )  # fmt: skip


def as_text(plan: list[Step]) -> str:
    """The plan, for people: a line of what and how long, and the command below it."""
    width = max(len(step.name) for step in plan)
    lines = [
        f"{number:2}. {step.name:<{width}}  {step.minutes:4.1f} min  {step.what}\n    {step.line}"
        for number, step in enumerate(plan, start=1)
    ]
    total = sum(step.minutes for step in plan)
    return "\n".join([*lines, f"{len(plan)} steps, about {total:.0f} minutes, compiling included"])
