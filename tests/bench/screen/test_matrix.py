"""The terminal begins with the answer, and has every arm beside MAX."""

import io

import pytest
from rich.console import Console

from bench.screen.matrix import matrices
from bench.screen.tables import show
from reports.commands import WIDTH
from tests.reports.beside import prompt, row, run


def shown(records):
    console = Console(width=WIDTH, file=io.StringIO())
    show(console, records)
    return console.file.getvalue()


def test_the_first_line_is_the_answer():
    text = shown(run(torch=2.0, openvino=0.8))
    assert text.startswith("Decode after 32 tokens: MAX takes 1.250 [")


def test_signs_say_what_colours_say():
    text = shown(run(torch=2.0, openvino=0.5, onnxruntime=1.05))
    lines = {line.split()[0]: line.strip() for line in text.splitlines() if line.strip()}
    assert lines["max"].endswith("10 ms")
    table = text.partition("Times over")[0]
    for part in ("2 [1.818, 2.2] +", "0.5 [0.455, 0.55] -", "1.050 [0.955, 1.155] ?"):
        assert part in table
    assert "above 1 MAX is faster" in text


def test_what_has_no_speed_is_a_cell_that_says_so():
    (table,) = matrices([*run(torch=2.0), row("openvino", status="INVALID")], WIDTH)
    console = Console(width=WIDTH, file=io.StringIO())
    console.print(table)
    (line,) = (li for li in console.file.getvalue().splitlines() if "openvino" in li)
    assert "INVALID" in line


@pytest.mark.parametrize("count", [1, 4, 9])
def test_many_workloads_go_on_in_further_tables(count):
    records = [record for size in range(count) for record in run(prompt(8 + size), torch=2.0)]
    tables = list(matrices(records, WIDTH))
    assert sum(len(table.columns) - 1 for table in tables) == count
    text = shown(records)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text


def test_alone_there_is_no_matrix():
    assert list(matrices([row("max"), row("max#2")], WIDTH)) == []
