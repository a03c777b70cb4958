"""`python -m bench serve` on servers whose answers, faults and service times are known."""

import json
import signal

import pytest

from bench.cli import main
from tests.bench.served import STAND_IN, bench_serve, running
from tests.conforming import file_misfits, record_misfits
from tests.processes import started

FEW = ("--seconds", "0.5", "-p", "8", "-n", "4", "--prompts", "24")


def statuses(done):
    return {(row["loop"], row["load"]): row["status"] for row in done.json["loads"]}


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    """Two requests get each other's answer where many run at once; the checkpoint is known."""
    folder = tmp_path_factory.mktemp("exchanged")
    with running(folder, STAND_IN) as url:
        return bench_serve(
            folder, f"{url}/exchanged", "--check", "tiny", "-c", "1,24", "-r", "none", *FEW,
            "--seconds", "1.5", "--slo-ttft", "60000",
        )  # fmt: skip


def test_exchanged_answers_are_caught_where_they_are_exchanged(exchanged):
    assert exchanged.code == 1
    assert statuses(exchanged)["closed", 24] == "INVALID"
    alone = next(row for row in exchanged.json["loads"] if row["load"] == 1)
    assert alone["wrong"] == 0
    assert alone["checked"] == alone["requests"] > 0
    assert "First wrong answer: server, 24 at a time" in " ".join(exchanged.out.split())


def test_the_page_begins_with_the_first_wrong_answer(exchanged):
    page = (exchanged.folder / "report.html").read_text()
    first = page.partition('role="tablist"')[0]
    assert "Wrong answers under load" in first
    assert "First wrong answer: server, 24 at a time" in first
    assert "Throughput by callers" in page
    assert "Latency over time" in page


def test_records_and_json_are_of_the_documented_form(exchanged):
    assert record_misfits(exchanged.folder) == []
    assert file_misfits("serve", exchanged.folder.parent / "out.json") == []


def test_only_the_answers_that_are_wrong_are_kept(exchanged):
    requests = exchanged.records("request")
    assert {one["right"] for one in requests} == {True, False}
    assert all((one["ids"] is not None) == (one["right"] is False) for one in requests)
    wrong = next(one for one in requests if one["right"] is False)
    assert "below the best" in wrong["wrong"]


def test_answers_of_an_unknown_model_are_compared_with_those_alone(queue, tmp_path):
    with queue("--fault", "mixed") as url:
        done = bench_serve(tmp_path, url, "-c", "1,4", "-r", "none", *FEW)
    assert done.code == 1
    assert statuses(done) == {("closed", 1): "VALID", ("closed", 4): "INVALID"}
    assert "another answer than the same prompt has alone" in " ".join(done.out.split())


def test_errors_are_counted_and_an_open_loop_has_its_row(queue, tmp_path):
    with queue("--fault", "refuses") as url:
        done = bench_serve(tmp_path, url, "-c", "2", "-r", "40", *FEW)
    assert set(statuses(done)) == {("closed", 2), ("open", 40)}
    assert {"INVALID"} == set(statuses(done).values())
    assert all(set(row["errors"]) == {"HTTP 503"} for row in done.json["loads"])
    assert all(row["wrong"] == 0 for row in done.json["loads"])


def test_a_server_that_ends_under_load_leaves_every_record(queue, tmp_path):
    with queue("--fault", "dies") as url:
        done = bench_serve(tmp_path, url, "-c", "2", "-r", "30", *FEW)
    requests = done.records("request")
    assert done.code == 2
    assert done.json["loads"][-1]["status"] == "ERROR"
    assert 17 <= sum(not one["error"] for one in requests) <= 19  # two were open at the end
    assert any("Client" in one["error"] or "Server" in one["error"] for one in requests)


def test_ctrl_c_keeps_what_was_measured(queue, tmp_path):
    folder = tmp_path / "run"
    options = ("-c", "1,2,4,8", "-r", "none", *FEW, "--seconds", "3", "-o", folder)
    with queue() as url, started("bench", "serve", url, *options) as process:
        said = iter(process.stdout.readline, "")
        assert any("4 at a time" in line for line in said)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "interrupted; the records are in" in err
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    rows = [one for one in records if one["record"] == "load"]
    assert [one["load"] for one in rows][:2] == [1, 2]
    assert all(one["requests"] and one["status"] == "INVALID" for one in rows)
    assert "no answer was checked" in out


def test_a_run_that_was_killed_is_finished_from_its_records(exchanged, tmp_path, capsys):
    """The same rows as of the run that came to its end."""
    made = ("load", "load_effect", "knee", "end")
    lines = (exchanged.folder / "records.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["record"] not in made]
    (tmp_path / "records.jsonl").write_text("\n".join(kept) + "\n")
    assert main(["finish", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    assert "First wrong answer" in capsys.readouterr().out
    again = json.loads((tmp_path / "out.json").read_text())
    assert again["loads"] == exchanged.json["loads"]
    assert again["knees"] == exchanged.json["knees"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "name the URL of a server, or with --arms servers to start, and not both"),
        (["http://127.0.0.1:9", "--arms", "max"], "and not both"),
        (["http://127.0.0.1:9"], "does not say which models it has (ClientConnectorError"),
        (["--arms", "max", "--check", "tiny"], "--check is for a running server"),
        (["--arms", "llama.cpp", "--cross-check"], "must be max, or a URL with --check"),
        (["--arms", "max", "-p", "250"], "250 + 16 tokens are more than the model's 256"),
        (["--arms", "max", "-c", "0", "-r", "none"], "there is no load"),
        (["--arms", "max", "-t", "999"], "--threads 999 is more than the"),
        (["--arms", "max", "--model", "no/such"], "no/such"),
        (["http://127.0.0.1:9", "--model", "x", "--text"], "--text needs --check MODEL"),
    ],
)
def test_what_cannot_be_carried_out_is_said_in_a_sentence(capsys, monkeypatch, argv, sentence):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["serve", *argv]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--arms", "vllm"), ("-r", "0"), ("-r", "fast"), ("-p", "9:3"), ("--slo-ttft", "soon"),
     ("--body", "[1]"), ("-c", "two")],
)  # fmt: skip
def test_a_value_that_is_not_one_is_named(capsys, option, value):
    with pytest.raises(SystemExit) as end:
        main(["serve", option, value])
    assert end.value.code == 2
    assert option in capsys.readouterr().err
