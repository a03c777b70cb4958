"""`python -m bench tiles`: all that is asked of a CPU with AMX, by one command.

The kernels that multiply in tiles are tested everywhere by their emulation; that the instructions
give the same bits, and how fast they are, only such a CPU can tell. Each step is a process, run as
those of `python -m bench gpu` are, and records, logs and a summary go to one folder.

Exit codes: 0 where every step passed; 1 where one found something wrong; 2 where one could not be
run, or there are no tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.commands.gpu_plan import add_plan_options, carry_out, chosen, folder_for
from bench.commands.gpu_steps import SMALL, SURROUNDINGS, TINY, Step, as_text, step
from impl.choosing.kernel_choice import SWITCH
from impl.choosing.tiles import refusal
from reports.commands import Parser, cannot_run
from reports.saved.home import CLONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEDIUM = "random:gpt2-medium"
FLOAT32 = "max,torch,onnxruntime,openvino,ctranslate2"
BFLOAT16 = "max-bf16-products,torch-bf16,openvino-bf16,llama.cpp-bf16"
ENGINES = "auto,auto:bfloat16-products"
PRODUCTS = "float32 by six products, bfloat16 by one"


def main(argv: Sequence[str]) -> int:
    """Print the plan, or run it; the module's docstring has the exit codes."""
    parser = Parser(
        prog="python -m bench tiles",
        description="All that is asked of a CPU with AMX: kernels in tiles tested, verified, and "
        "timed beside peers in float32 and bfloat16. Records go to one folder, to be published.",
        epilog="exit codes: 0 all passed; 1 a step found something wrong; 2 a step could not be "
        "run, or there are no tiles",
    )
    add_plan_options(parser, "tiles")
    parser.add_argument(
        "--emulated",
        action="store_true",
        help="rehearse: every step by the emulation of tiles, at small sizes",
    )
    options = parser.parse_args(argv)
    # Tests are a clone's.
    known = [one for one in steps(emulated=options.emulated) if CLONE or one.name != "kernels"]
    plan = chosen(known, options.only)
    if options.dry_run:
        print(as_text(plan))
        print(f"AMX here: {refusal() or 'yes'}")
        return 0
    if not options.emulated and (why := refusal()):
        hint = "--dry-run prints the plan, and --emulated rehearses it"
        return cannot_run("bench tiles", f"{why}; {hint}")
    return carry_out(plan, folder_for("tiles", options.out), "bench tiles")


def steps(*, emulated: bool) -> list[Step]:
    """The whole plan.

    Args:
        emulated: whether it is rehearsed: by the emulation, at sizes that show no more than that
            each step runs.
    """
    return list(_rehearsed() if emulated else _in_tiles())


def _in_tiles() -> Iterator[Step]:
    yield SURROUNDINGS
    yield _kernels("tests/impl/kernels", "tests/impl/choosing", "tests/bench/worker/test_units.py")
    yield Step(
        name="errors", what="of six, three and one product, and of float32's own sums",
        words=("-m", "verify.truth.matrix_units"), minutes=0.5, answers=False, telling=1,
    )  # fmt: skip
    for model, minutes in ((TINY, 4), (SMALL, 8), (MEDIUM, 20)):
        yield step(f"verify-{model.rpartition(':')[2]}", PRODUCTS,
                   f"verify --model {model} --engines {ENGINES}", minutes,
                   _forced("tiles"))  # fmt: skip
    yield step("verify-gpt2-avx512", "float32 in vectors, which is timed too",
               f"verify --model {SMALL} --engines auto", 5, _forced("avx512"))  # fmt: skip
    sizes = "-p 128,512,1024 -n 16 -d 128"
    for form in ("tiles", "avx512"):
        bench = f"bench run --model {SMALL} --device cpu --arms {FLOAT32}"
        yield step(f"bench-float32-{form}", f"float32, kernels for {form}, beside peers",
                   f"{bench} {sizes} --processes 3 --budget 15m", 15, _forced(form))  # fmt: skip
        yield step(f"bench-float32-{form}-batch", f"the same, four rows, kernels for {form}",
                   f"{bench} -p 128 -n 16 -d 128 -b 4 --processes 3 --budget 10m", 10,
                   _forced(form))  # fmt: skip
    yield step("bench-bfloat16", "bfloat16 by one product, beside peers in bfloat16",
               f"bench run --model {SMALL} --device cpu --arms {BFLOAT16} {sizes} --processes 3 "
               "--budget 12m", 12, _forced("tiles"))  # fmt: skip
    yield step("ceilings", "what the CPU reads and multiplies at most",
               f"bench ceilings --device cpu --model {TINY}", 0.5)  # fmt: skip


def _rehearsed() -> Iterator[Step]:
    yield SURROUNDINGS
    yield _kernels("tests/impl/kernels/test_tiles.py")
    forced = _forced("tiles-emulated")
    short = "--regimes given,stress --lengths 1,33"
    yield step("verify-tiny", PRODUCTS, f"verify --model {TINY} {short} --engines {ENGINES}", 3,
               forced)  # fmt: skip
    tiny = f"bench run --model {TINY} --device cpu -p 9 -n 2 -d 4 --processes 1 --blocks 2"
    yield step("bench-float32", "float32, beside PyTorch", f"{tiny} --arms max,torch", 1, forced)
    yield step("bench-bfloat16", "bfloat16, beside PyTorch in bfloat16",
               f"{tiny} --arms max-bf16-products,torch-bf16", 1, forced)  # fmt: skip


def _forced(form: str) -> dict[str, str]:
    return {SWITCH: f"mojo-{form}"}


def _kernels(*tests: str) -> Step:
    return Step(
        name="kernels", what="the instructions give the bits of their emulation, and of the model",
        words=("-m", "pytest", "-q", *tests), minutes=3, answers=False,
    )  # fmt: skip
