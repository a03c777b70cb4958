"""`python -m verify endpoint` against the stand-in: exit codes, records, `--json`, what is said."""

import json

import jsonschema
import pytest

from reports.contract.schemas import schema
from reports.saved.records import read_run
from verify.endpoint.command_line import main
from verify.endpoint.servers import LOOPBACK, free_port

FEW = ("--requests", "8", "--no-prove", "-q")


@pytest.fixture
def run(url, tmp_path, capsys):
    """Runs the command; returns exit code, what `--json` has, the records, and what was printed."""

    def run(path="", *more, model="tiny"):
        answer, out = tmp_path / "answer.json", tmp_path / "run"
        words = [url + path, "--model", model, "--out", str(out), "--json", str(answer), *more]
        code = main(words)
        told = json.loads(answer.read_text()) if answer.exists() else None
        records = read_run(out) if (out / "records.jsonl").exists() else None
        return code, told, records, capsys.readouterr()

    return run


def test_a_right_server_passes_and_every_planted_fault_is_noticed(run, tmp_path):
    code, told, records, printed = run("", "--requests", "20", "--operation", "--text", "And God")
    assert code == 0
    assert told["verdict"] == "PASS"
    assert told["unchecked"] == []
    assert {one["state"] for one in told["planted"]} == {"caught"}
    assert {one["verdict"] for one in told["cases"]} == {"PASS"}
    assert "12 of 12 planted faults noticed" in printed.out
    assert "the text 'And God'" in [one["name"] for one in told["cases"]]
    jsonschema.validate(told, schema("endpoint"))
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    validator = jsonschema.Draft202012Validator(schema("endpoint-records"))
    for line in lines:
        validator.validate(json.loads(line))
    assert len(records.of("answer")) == records.end["counts"]["answers"] - 1  # one is refused
    for name in ("report.html", "cases.md", "cases.csv", "answers.parquet", "junit.xml"):
        assert (tmp_path / "run" / name).is_file()


def test_a_wrong_server_fails_and_the_first_wrong_answer_is_shown(run):
    code, told, _, printed = run("/page-end", *FEW)
    assert code == 1
    wrong = told["first_wrong"]
    assert wrong["case"] == "a prompt of 127 tokens"
    assert wrong["position"] == 2
    assert wrong["text"].startswith("127 tokens [")
    assert "answers wrong" in printed.out
    assert "Not checked: what these questions would notice" in printed.out
    jsonschema.validate(told, schema("endpoint"))


def test_a_server_of_text_alone_is_compared_by_its_text(run):
    lacks = "/lacks/ids,returned-ids,logprobs,seed,stop-ids,ignore-eos,stream"
    code, told, _, printed = run(lacks, *FEW)
    assert code == 0
    said = " ".join(told["unchecked"])
    for what in ("prompts of token ids", "log-probabilities", "seeds", "streams"):
        assert what in said
    assert "Not checked: prompts of token ids (the server says 400: " in printed.out.replace(
        "\n", " "
    )
    assert told["counts"]["tokens"] > 100


@pytest.mark.parametrize(
    ("path", "more", "told"),
    [
        ("/nothing", (), "does not answer with its models"),
        ("", ("--served-name", "other"), "does not serve 'other'; --served-name is one of: tiny"),
        ("", ("--context", "1000"), "--context 1000 is more than the model's 256 positions"),
        ("", ("--seed", "-1"), "--seed must not be negative"),
        ("", ("--prove", "--no-prove"), "exclude each other"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_sentence(run, path, more, told):
    code, _, records, printed = run(path, *more)
    assert code == 2
    assert told in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert records is None


def test_a_server_that_is_not_there_and_an_address_that_is_none(capsys):
    assert main([f"http://{LOOPBACK}:{free_port()}", "--model", "tiny"]) == 2
    assert "ClientConnectorError" in capsys.readouterr().err
    assert main(["localhost", "--model", "tiny"]) == 2
    assert "is not the address of a server" in capsys.readouterr().err


def test_further_fields_are_in_every_request(run):
    """A server that is told to stop at "the" answers less than was asked for."""
    code, told, _, _ = run("", *FEW, "--body", '{"stop_token_ids": [259]}')
    assert code == 1
    assert told["first_wrong"]["message"] == "it stops after 3 tokens for no reason"


def test_fields_that_are_not_an_object_are_refused(run, capsys):
    with pytest.raises(SystemExit) as stop:
        run("", *FEW, "--body", "[1]")
    assert stop.value.code == 2
    assert "'[1]' is not a JSON object" in capsys.readouterr().err
