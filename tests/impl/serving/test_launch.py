"""`python -m impl serve`: what it refuses, what it writes, and MAX Serve itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
import transformers

from impl.serving.launch import QUIET, is_error, is_routine, ready_line, servable, written
from reference.load import load
from reference.oracle import Oracle
from reference.taps import LOGITS

ROOT = Path(__file__).parents[3]
PROMPT = "In the beginning God created"


def impl(*arguments):
    return [sys.executable, "-m", "impl", *arguments]


def refused(*arguments):
    """The one sentence of a server that is not started."""
    result = subprocess.run(
        impl("serve", *arguments), cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "99999"), "cannot listen on 127.0.0.1:99999"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--model", "no/where/here"), "neither a folder nor a hub id"),
        (("--dtype", "bfloat16"), "bfloat16 on a GPU alone"),
        (("--max-batch-size", "0"), "must be at least 1"),
        (("--device", "gpu:7"), "gpu:7"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments, sentence):
    assert sentence in refused("--port", "0", *arguments)


def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refused("--port", str(port))


def test_what_max_refuses_is_one_sentence_with_its_reason():
    assert "No such option '--no-such'" in refused("--port", "0", "--", "--no-such", "1")


def test_a_checkpoint_of_hugging_faces_form_is_served_as_it_stands():
    checkpoint = load("tiny")
    assert servable(checkpoint) == checkpoint.folder


def test_other_checkpoints_are_written_down_while_they_are_served(tmp_path):
    checkpoint = load("random:tiny:perturbed")
    assert servable(checkpoint) is None
    with ExitStack() as stack:
        folder = written(checkpoint, stack)
        again = load(str(folder))
        assert again.config == checkpoint.config
        assert all(np.array_equal(again.weights[n], a) for n, a in checkpoint.weights.items())
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        assert tokenizer("12 7 1023")["input_ids"] == [12, 7, 1023]
        assert tokenizer.decode([12, 7, 1023]) == "12 7 1023"
    assert not folder.exists()


def test_the_ready_line_has_a_request_to_paste():
    line = ready_line("http://127.0.0.1:8000", "tiny", load("tiny"))
    assert line.startswith("Ready: http://127.0.0.1:8000 ")
    body = json.loads(line[line.index("{") : line.rindex("}") + 1])
    assert body["model"] == "tiny"


def test_of_maxs_log_what_is_not_routine_is_seen():
    assert is_routine("06:59:25.668 INFO: Model worker ready")
    assert not is_routine("06:59:25.668 WARNING: The queue is full")
    assert is_error("06:53:30.903 ERROR: Worker crashed (1), shutting down...")


def test_nothing_is_sent_anywhere():
    assert QUIET["MODULAR_TELEMETRY_ENABLED"] == "false"
    assert QUIET["MAX_SERVE_DISABLE_TELEMETRY"] == "1"


@pytest.fixture(scope="module")
def served():
    """MAX Serve with `tiny`: its address, and the process that started it."""
    with subprocess.Popen(
        impl("serve", "--port", "0"), cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        assert line.startswith("Ready: http://127.0.0.1:"), f"exit {process.wait()}"
        yield line.split()[1], process
        process.terminate()


def asked(url, **body):
    data = json.dumps({"model": "tiny", "prompt": PROMPT, "temperature": 0, **body}).encode()
    request = urllib.request.Request(
        f"{url}/v1/completions", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["choices"][0]


@pytest.mark.compiles
def test_it_answers_with_the_text_that_generate_gives(served):
    url, _ = served
    generated = subprocess.run(
        impl("generate", PROMPT, "--greedy", "--max-new-tokens", "24", "--no-stats"),
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert PROMPT + asked(url, max_tokens=24)["text"] == generated.stdout.removesuffix("\n")


@pytest.mark.compiles
def test_its_log_probabilities_are_the_oracles(served):
    url, _ = served
    choice = asked(url, max_tokens=8, logprobs=1, return_token_ids=True)
    checkpoint = load("tiny")
    tokens = [*choice["prompt_token_ids"], *choice["token_ids"]]
    start = len(choice["prompt_token_ids"]) - 1
    rows = Oracle(checkpoint).trace(np.array([tokens]))[LOGITS][0, start:-1]
    expected = rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True))
    of_tokens = expected[range(8), choice["token_ids"]]
    assert choice["token_ids"] == rows.argmax(axis=-1).tolist()
    assert np.abs(of_tokens - choice["logprobs"]["token_logprobs"]).max() < 1e-4


@pytest.mark.compiles
def test_every_answer_is_the_models_own_alone_and_100_at_once(served, tmp_path):
    url, _ = served
    words = ("endpoint", url, "--model", "tiny", "--no-prove", "--out", tmp_path / "run", "-q")
    command = [sys.executable, "-m", "verify", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verdict: PASS" in done.stdout


@pytest.mark.compiles
@pytest.mark.parametrize("prompt", [[1024], [-1], [1, 2**40]])
def test_a_token_that_is_not_in_the_vocabulary_is_refused_and_the_server_lives(served, prompt):
    """MAX's own tokenizer lets it through: `verify/max_bugs/serve_prompts.py`."""
    url, _ = served
    with pytest.raises(urllib.error.HTTPError) as refusal:
        asked(url, prompt=prompt)
    assert refusal.value.code == 400
    assert "is not in the vocabulary" in refusal.value.read().decode()
    assert asked(url, max_tokens=1)["text"]


@pytest.mark.compiles
def test_it_ends_at_a_signal_and_leaves_no_process(served):
    """The last test that asks it."""
    _, process = served
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    psutil.wait_procs(family, timeout=10)
    assert not [one for one in family if one.is_running() and one.status() != "zombie"]
