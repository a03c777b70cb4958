"""Which tests run in the same process, where pytest-xdist runs several (`pytest -n 2`).

A file's tests stay together, for its fixtures. So do files that need the same programs of MAX: what
one has compiled the next finds in its session, or in the cache on the disk, where two at the same
time would both compile it, for minutes. Groups and files that compile come first and in this order,
since they take longest; the others fill up what is left.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

GROUPS = {
    "the model with every place shown": (
        "tests/verify/apart/test_executor.py",
        "tests/verify/candidate/test_staging.py",
        "tests/verify/checks/test_invariances.py",
        "tests/verify/test_artefacts.py",
        "tests/verify/campaign/test_campaign.py",
        "tests/verify/training/test_over_training.py",
        "tests/verify/test_cli.py",
        "verify/test_parity.py",
    ),
    "the engines": (
        "tests/impl/demo/test_tour.py",
        "tests/impl/test_engine.py",
        "tests/impl/test_generate.py",
        "tests/impl/choosing/test_kernel_choice.py",
        "tests/impl/test_log_thread.py",
        "tests/impl/test_main.py",
        "tests/impl/test_model.py",
        "tests/impl/test_precompile.py",
        "tests/impl/test_runtime.py",
        "tests/impl/serving/test_launch.py",
        "tests/verify/test_engine_parity.py",
        "tests/bench/test_bench_cli.py",
    ),
    "what MAX gets wrong": ("tests/verify/test_max_bugs.py",),
    "reproductions": ("tests/verify/reduce/test_reproduction.py",),
    "a Llama": ("tests/verify/test_decoder.py",),
    "candidates in many styles": ("tests/verify/test_candidates.py",),
    "faults in MAX's graphs": ("tests/verify/faults/test_in_max.py",),
    "a package": ("tests/verify/package/computing/test_compiled.py",),
    "operations": (
        "tests/verify/graph/operations/test_casts.py",
        "tests/verify/graph/operations/test_elementwise.py",
        "tests/verify/graph/operations/test_indexing.py",
        "tests/verify/graph/operations/test_products.py",
        "tests/verify/graph/operations/test_reductions.py",
        "tests/verify/graph/operations/test_shapes.py",
        "tests/verify/graph/operations/test_windows.py",
        "tests/verify/graph/operations/test_paged_compiled.py",
        "tests/verify/graph/operations/test_paged.py",
    ),
    "planted faults of packages": ("tests/verify/package/test_planted.py",),
    "a stand-in server": (
        "tests/verify/endpoint/test_answering.py",
        "tests/verify/endpoint/test_endpoint_command.py",
        "tests/verify/endpoint/test_misuse.py",
        "tests/verify/endpoint/test_noticed.py",
        "tests/verify/endpoint/test_standard.py",
    ),
    "the book": ("tests/verify/steps/book/test_chapters.py",),
    "benchmarks that are stopped": ("tests/bench/test_stops.py",),
}

GROUP_OF = {file: name for name, files in GROUPS.items() for file in files}
ORDER = list(GROUP_OF)


def rank(file: str) -> int:
    """Where a file's tests come: those of the groups as they are listed, then all others."""
    return ORDER.index(file) if file in GROUP_OF else len(ORDER)


class Grouped(LoadFileScheduling):
    """Hands out whole groups, then whole files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return GROUP_OF.get(file, file)
