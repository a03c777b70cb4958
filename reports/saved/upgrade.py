"""Records of older formats in today's shape, so that nothing above needs to know of them.

Figures that an older format did not have stay missing. `reports/SCHEMA.md` tells what each changed.
"""

from __future__ import annotations

from typing import Any

PLANTED = ("power", "max-power", "engine-power")
"""The modes of checks whose details describe how a planted fault was sighted."""


def upgraded(record: dict[str, Any], version: int) -> dict[str, Any]:
    """A record in today's format.

    Args:
        record: as it was read.
        version: of the format that it was written in.
    """
    if version < 3:
        record = _to_3(record)
    return record if version >= 4 else _to_4(record)


def _to_3(record: dict[str, Any]) -> dict[str, Any]:
    """One shape of a sighting.

    Before, `caught` meant that anything failed, and `told` that the right place did, by a safe
    margin. A check of a fault passed where the fault was told.
    """
    if record.get("record") == "fault":
        rest = {key: value for key, value in record.items() if key != "told"}
        return {**rest, "caught": bool(record.get("told"))}
    details = record.get("details")
    if record.get("mode") not in PLANTED or not isinstance(details, dict):
        return record
    names = {"expected_stage": "expected", "in": "case"}
    details = {names.get(key, key): value for key, value in details.items()}
    return {**record, "details": {**details, "caught": record.get("verdict") == "PASS"}}


def _to_4(record: dict[str, Any]) -> dict[str, Any]:
    """What `python -m bench null` found: the sentences at its end were `told`."""
    if record.get("record") != "end" or "told" not in record:
        return record
    rest = {key: value for key, value in record.items() if key != "told"}
    return {**rest, "called": record["told"]}
