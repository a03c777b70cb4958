"""What a table of machines says of each: hardware, ceilings, speeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.tables.numbers import brief, figure, interval, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reports.saved.records import Run

    Record = Mapping[str, Any]

SHOWN_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16",
               "amx_int8", "asimd", "i8mm", "bf16", "sve", "sve2", "sme")  # fmt: skip
"""Of the recorded instructions those that tell CPUs apart."""

CEILINGS = (
    ("read_gb_s", ("read", "float32")),
    ("arithmetic_gflop_s", ("peak", "float32")),
    ("gemm_gflop_s", ("gemm", "float32")),
    ("gemm_bf16_gflop_s", ("gemm", "bfloat16")),
)
"""Key of a row, and the ceiling with its dtype whose best block it is."""


def machine_rows(run: Run) -> list[dict[str, Any]]:
    """A row for each unit of an opened run of `bench machines`: keys that a CSV can have."""
    return [
        {**_hardware(machine), **_ceilings(run, machine["unit"]), **_speeds(run, machine["unit"])}
        for machine in run.of("machine")
    ]


def _hardware(machine: Record) -> dict[str, Any]:
    caches = machine.get("caches") or {}
    return {
        "machine": machine["machine"], "cpu": machine["cpu"],
        "flags": " ".join(flag for flag in SHOWN_FLAGS if flag in machine["flags"]),
        **{f"{name.lower()}_kib": _kib(caches.get(name)) for name in ("L1d", "L2", "L3")},
        **{name: machine.get(name) for name in ("cores", "usable_cpus", "memory_gib",
                                                "accelerator", "system")},
    }  # fmt: skip


def _kib(size: Any) -> int | None:
    return None if size is None else int(size) // 1024


def _ceilings(run: Run, unit: str) -> dict[str, float | None]:
    found = [one for one in run.of("machine_ceiling") if one["unit"] == unit]
    return {
        key: max((one["value"] for one in found if (one["ceiling"], one["dtype"]) == kind),
                 default=None)
        for key, kind in CEILINGS
    }  # fmt: skip


def _speeds(run: Run, unit: str) -> dict[str, Any]:
    """Tokens a second of each arm, and its time over the baseline's."""
    found: dict[str, Any] = {}
    cells = [cell for cell in run.of("cell") if cell["unit"] == unit]
    for cell in cells:
        what = f"{cell['arm']} {cell['workload']}"
        found["model"] = cell["model"]
        found["threads"] = cell["threads"]
        found[f"{what} tok_s"] = figure(cell.get("tok_s"))
        if cell.get("versus"):
            found |= {
                f"{what} ratio": cell["ratio"], f"{what} ci_lo": cell["ci_lo"],
                f"{what} ci_hi": cell["ci_hi"], f"{what} verdict": cell["verdict"],
            }  # fmt: skip
        elif cell["status"] != "VALID":
            found[f"{what} verdict"] = cell["status"]
    return found


def cells_by_machine(run: Run) -> list[tuple[Record, list[Record]]]:
    """Each unit's machine with its cells."""
    return [
        (machine, [cell for cell in run.of("cell") if cell["unit"] == machine["unit"]])
        for machine in run.of("machine")
    ]


def shown_rows(run: Run) -> list[dict[str, str]]:
    """The same for people: texts under headings."""
    rows = []
    for row, (machine, cells) in zip(machine_rows(run), cells_by_machine(run), strict=True):
        rows.append({
            "CPU": str(row["cpu"]), "instructions": row["flags"],
            "caches L1d, L2, L3": caches(machine), "CPUs": str(row["usable_cpus"]),
            "GiB": str(row["memory_gib"]), "read, GB/s": short(row["read_gb_s"]),
            "arithmetic, GFLOP/s": short(row["arithmetic_gflop_s"]),
            "products, GFLOP/s": short(row["gemm_gflop_s"]),
            "in bfloat16": short(row["gemm_bf16_gflop_s"]), **speeds(cells),
        })  # fmt: skip
    return rows


def caches(machine: Record) -> str:
    """`32 KiB, 1 MiB, 32 MiB`."""
    found = machine.get("caches") or {}
    sizes = [found[name] for name in ("L1d", "L2", "L3") if name in found]
    return ", ".join(
        f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB" for size in sizes
    )


def speeds(cells: Sequence[Record]) -> dict[str, str]:
    """Tokens a second of each arm by workload, the ratio with its interval."""
    found = {}
    for cell in cells:
        name = f"{cell['workload']} {cell['arm']}, tokens/s"
        valid = figure(cell.get("tok_s")) is not None
        found[name] = short(cell["tok_s"]) if valid else str(cell["status"])
        if figure(cell.get("ratio")) is not None:
            told = interval(cell["ci_lo"], cell["ci_hi"])
            found[f"{cell['workload']} {cell['arm']} / {cell['versus']}"] = " ".join(
                filter(None, (brief(cell["ratio"]), f"[{told}]" if told else "", cell["verdict"]))
            )
    return found
