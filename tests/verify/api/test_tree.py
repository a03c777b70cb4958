"""The words that `max-parity` lists are those that the five commands take."""

import ast
from pathlib import Path

import bench.cli
import reference.__main__
import reports.__main__
import verify.options
from verify.api.tree import TREE, as_text, full

ROOT = Path(__file__).parents[3]


def words(command):
    return [word for word in TREE[command] if word]


def test_the_words_of_verify_are_those_of_its_table_in_the_same_words():
    assert words("verify") == list(verify.options.COMMANDS)
    for word, command in verify.options.COMMANDS.items():
        assert TREE["verify"][word] == command.summary


def test_the_words_of_bench_and_reference_are_those_of_their_tables():
    assert words("bench") == [word for word in bench.cli.COMMANDS if word != "run"]
    assert sorted(words("reference")) == sorted(reference.__main__.COMMANDS)


def test_the_words_of_reports_are_those_that_its_help_lists():
    lines = reports.__main__.COMMANDS.partition("\n\n")[0].splitlines()[1:]
    listed = [line.split()[0] for line in lines]
    assert words("reports") == [word for word in listed if word != "render"]


def test_the_words_of_impl_are_its_subcommands():
    tree = ast.parse((ROOT / "impl" / "__main__.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    added = [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_parser"
    ]
    assert words("impl") == added


def test_each_command_is_listed_in_a_line():
    lines = as_text().splitlines()
    for command, of in TREE.items():
        for word, summary in of.items():
            name = f"  {command} {word}".rstrip()
            (line,) = [each for each in lines if each.startswith(f"{name}  ")]
            assert line.endswith(summary)
    assert max(map(len, lines)) <= 100


def test_a_word_of_verify_may_stand_alone():
    assert full(["diff", "A", "B"]) == ["verify", "diff", "A", "B"]
    assert full(["bench", "env"]) == ["bench", "env"]
    assert full(["compare"]) == []
