"""Which tests run in the same process, where pytest-xdist runs several (`pytest -n 2`).

A file's tests stay together, for its fixtures. So do files that need the same programs of MAX: what
one has compiled the next finds in the cache on the disk, where two at the same time would both
compile it, for minutes. The groups come first and in this order, since they take longest; the other
files fill up what is left.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

GROUPS = {
    "the model with every place shown": (
        "tests/verify/candidate/test_staging.py",
        "tests/verify/checks/test_invariances.py",
        "tests/verify/test_artefacts.py",
        "tests/verify/test_campaign.py",
        "tests/verify/test_cli.py",
        "verify/test_parity.py",
    ),
    "the engines": (
        "tests/impl/test_engine.py",
        "tests/impl/test_generate.py",
        "tests/impl/test_kernel_choice.py",
        "tests/impl/test_log_thread.py",
        "tests/impl/test_main.py",
        "tests/impl/test_model.py",
        "tests/impl/test_precompile.py",
        "tests/impl/test_runtime.py",
        "tests/verify/test_engine_parity.py",
        "tests/bench/test_bench_cli.py",
    ),
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
