"""Whether what was really written has the form that the committed schemas promise."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from reports.contract.schemas import file_of

SCHEMAS = Path(__file__).parents[1] / "reports" / "schema"


def misfits(name, values):
    """What of some values does not fit a schema: where, and why not."""
    schema = json.loads((SCHEMAS / file_of(name)).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    whole = Draft202012Validator(schema)
    return [
        f"{value.get('record', name)}: {why}"
        for value in values
        if not whole.is_valid(value)
        for why in sorted({*_reasons(schema, value)}) or ["there is no such record"]
    ]


def _reasons(schema, value):
    """Why a value does not fit the type that it is meant to be: that of its `record`, if any."""
    for entry in schema["anyOf"]:
        kind = schema["$defs"][entry["$ref"].rpartition("/")[2]]
        record = kind["properties"].get("record", {}).get("enum", [None])
        if value.get("record") in record:
            for error in Draft202012Validator({**schema, "anyOf": [entry]}).iter_errors(value):
                for one in error.context or [error]:
                    yield f"{one.json_path}: {one.message[:200]}"


def record_misfits(folder):
    """What of a run's records does not fit the schema of its kind."""
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return misfits(f"{records[0]['kind']}-records", records)


def file_misfits(name, file):
    """What of a file that `--json` wrote does not fit the schema."""
    return misfits(name, [json.loads(file.read_text(encoding="utf-8"))])
