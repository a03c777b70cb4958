"""A run as JUnit XML, which CI systems show as a list of tests.

A verification has one test for each place, in isolation and running free (the worst of its cases
decides), and one for every other check. A benchmark has one for each row, an endpoint one for each
case, a campaign one for each seed, a verified training one for each checkpoint.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from reference.taps import short_name
from reports.tables.frames import rows_frame, worst_of
from reports.tables.load_markdown import load_name
from reports.tables.numbers import percent
from reports.tables.spread_work import units_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from reports.saved.records import Run

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write."""

_BY_PLACE = ("isolated", "free")
_ELEMENTS = {"FAIL": "failure", "INVALID": "failure", "UNDERPOWERED": "failure", "ERROR": "error"}


def junit(run: Run, checks: pd.DataFrame | None = None) -> str:
    """The run as a document.

    Args:
        run: its records.
        checks: of a verification, as `checks_frame` returns them.
    """
    name = f"{run.kind} {run.environment.get('model', '')}".strip()
    suite = ET.Element("testsuite", name=_clean(name), timestamp=_timestamp(run))
    cases = CASES.get(run.kind, _bench_cases)
    for case in _verify_cases(checks) if checks is not None else cases(run):
        suite.append(case)
    for key, tags in (("tests", ["testcase"]), ("failures", ["failure"]), ("errors", ["error"]),
                      ("skipped", ["skipped"])):  # fmt: skip
        suite.set(key, str(sum(len(list(suite.iter(tag))) for tag in tags)))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _timestamp(run: Run) -> str:
    return _clean(str(run.header.get("started_utc", "")).removesuffix("Z"))


def _verify_cases(checks: pd.DataFrame) -> Iterator[ET.Element]:
    by_place = checks["mode"].isin(_BY_PLACE)
    places = worst_of(checks[by_place], ["mode", "device", "tap"]).sort_index(kind="stable")
    for row in places.to_dict("records"):
        name = f"verify.{row['device']}.{row['mode']}"
        text = f"{row['case']}: {row['message'] or percent(row['used'])}"
        yield _case(name, short_name(row["tap"]), str(row["verdict"]), text)
    for row in checks[~by_place].to_dict("records"):
        name = " ".join(filter(None, (str(row["case"] or ""), short_name(row["tap"]))))
        yield _case(f"verify.{row['mode']}", name, str(row["verdict"]), str(row["message"] or ""))


def _bench_cases(run: Run) -> Iterator[ET.Element]:
    for row in rows_frame(run).to_dict("records"):
        name = " ".join(str(row[key]) for key in ("workload", "arm") if row[key])
        yield _case(f"bench.{row['device']}", name, str(row["status"]), _reasons(row))
    for cell in run.of("cell"):
        name = f"{cell['workload']} {cell['arm']}"
        yield _case(f"bench.{cell['unit']}", name, str(cell["status"]), _reasons(cell))
    for unit in run.of("unit"):
        if unit["error"]:
            yield _case("bench", str(unit["key"]), "ERROR", str(unit["error"]))
    for load in run.of("load"):
        name = " ".join(filter(None, (str(load.get("arm")), load_name(load))))
        yield _case("serve", name, str(load.get("status")), _reasons(load))


def _endpoint_cases(run: Run) -> Iterator[ET.Element]:
    for case in run.of("case"):
        name = f"endpoint.{case.get('group')}"
        message = str(case.get("message") or "")
        yield _case(name, str(case.get("name")), str(case.get("verdict")), message)


def _training_cases(run: Run) -> Iterator[ET.Element]:
    for one in run.of("checkpoint"):
        wrong = one.get("first_divergence") or {}
        text = str(wrong.get("message") or percent(one.get("used")))
        yield _case("training", str(one.get("name")), str(one.get("verdict")), text)


def _spread_cases(run: Run) -> Iterator[ET.Element]:
    for unit in units_of(run):
        alarms = [alarm for one in unit["records"] for alarm in one.get("alarms", ())]
        verdict = "ERROR" if unit["error"] else "FAIL" if alarms else "PASS"
        yield _case(run.kind, unit["key"], verdict, str(unit["error"] or alarms[:1]))


CASES = {"endpoint": _endpoint_cases, "campaign": _spread_cases, "rules": _spread_cases,
         "training": _training_cases}  # fmt: skip
"""The tests of a run that is neither a verification nor a benchmark, by its kind."""


def _reasons(row: Mapping[Any, Any]) -> str:
    reasons = row["invalid_reasons"]
    return "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""


def _case(classname: str, name: str, verdict: str, text: str) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(classname), name=_clean(name), time="0")
    if verdict == "SKIP":
        ET.SubElement(case, "skipped", message=_clean(text))
    elif verdict in _ELEMENTS:
        ET.SubElement(case, _ELEMENTS[verdict], message=_clean(f"{verdict}: {text}"))
    return case


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
