"""`python -m impl`, run as a user runs it: what lands on stdout and stderr, and the exit code."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from impl.generate import generate
from impl.sampling import Sampler
from impl.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "impl"]
RANDOM = ("--model", "random:tiny:perturbed")
# MAX 26.7 sets PYTHONEXECUTABLE behind Python's back once it is imported, and a child process that
# inherits it looks for packages elsewhere: a child gets the environment as Python knows it.
ENVIRONMENT = dict(os.environ)
PROMPT = "In the beginning God created"


def run(*arguments, stdin="", **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
    )


def start(*arguments, **variables):
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )


def refused(*arguments, **environment):
    """The one sentence of a run that could not be done."""
    result = run(*arguments, **environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def continuation():
    """A run with nothing but a prompt and a seed."""
    result = run("generate", PROMPT, "--seed", "1", "--max-new-tokens", "30")
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.compiles
def test_stdout_is_the_prompt_and_its_continuation_and_nothing_else(continuation):
    assert continuation.stdout.startswith(PROMPT)
    assert continuation.stdout.endswith("\n")
    assert len(continuation.stdout) > len(PROMPT) + 30
    assert "tokens" not in continuation.stdout


@pytest.mark.compiles
def test_stderr_warns_of_the_compilation_and_ends_with_the_speed(continuation):
    note, phases, speed = continuation.stderr.splitlines()
    assert re.fullmatch(r"compiling the engine of .*: about [\dms in]+, .*", note)
    assert re.fullmatch(
        r"prefill 11 tokens, [\d.]+ tokens/s; decode 29 tokens, [\d.]+ tokens/s; "
        r".*, float32( in 28 bits, none lost)?",
        phases,
    )
    assert re.fullmatch(
        r"30 tokens in [\d.]+ s, [\d.]+ tokens/s on cpu, seed 1; "
        r"ended because the number of new tokens was reached",
        speed,
    )


@pytest.mark.compiles
def test_the_seed_repeats_the_text_streamed_or_not_and_without_notes(continuation):
    again = run(
        *("generate", "-", "--seed", "1", "--max-new-tokens", "30", "--no-stream", "--no-stats"),
        stdin=f"{PROMPT}\n",
    )
    assert (again.stdout, again.stderr) == (continuation.stdout, "")


@pytest.mark.compiles
def test_a_seed_that_was_not_given_is_told_and_repeats_the_text():
    first = run("generate", PROMPT, "--max-new-tokens", "12")
    seed = re.search(r"seed (\d+)", first.stderr)[1]
    assert run("generate", PROMPT, "--max-new-tokens", "12", "--seed", seed).stdout == first.stdout


@pytest.mark.compiles
def test_a_stop_text_ends_the_continuation_before_it():
    whole = run("generate", PROMPT, "--greedy", "--max-new-tokens", "30").stdout
    stop = whole[len(PROMPT) + 10 : len(PROMPT) + 13]
    cut = run("generate", PROMPT, "--greedy", "--max-new-tokens", "30", "--stop", stop)
    at = whole.index(stop, len(PROMPT))
    assert cut.stdout == whole[:at] + "\n"
    assert cut.stderr.endswith("greedy; ended because a stop text came\n")


@pytest.mark.compiles
def test_ids_are_continued_with_ids_that_can_be_given_again(next_token):
    steps = generate(next_token, np.array([[1, 2, 3]]), max_new_tokens=6, sampler=Sampler(0))
    expected = ",".join(map(str, [1, 2, 3, *(int(step.tokens[0]) for step in steps)]))
    first = run("generate", "--ids", "1,2,3", "--greedy", "--max-new-tokens", "4", *RANDOM)
    again = run(
        "generate", "--ids", first.stdout.strip(), "--greedy", "--max-new-tokens", "2", *RANDOM
    )
    assert again.stdout == expected + "\n"


@pytest.mark.compiles
def test_a_full_context_is_told():
    ids = ",".join(["5"] * 254)
    result = run("generate", "--ids", ids, "--greedy", *RANDOM)
    assert result.stderr.endswith("greedy; ended because the model's context is full\n")
    assert result.stderr.splitlines()[-1].startswith("2 tokens in")


@pytest.mark.compiles
def test_a_prompt_of_several_bytes_a_character_comes_back_whole():
    result = run("generate", "漢字 🎉", "--max-new-tokens", "1", "--greedy")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("漢字 🎉")


@pytest.mark.compiles
def test_a_terminal_that_cannot_show_a_character_shows_a_mark():
    result = run("generate", "Zoë", "--max-new-tokens", "1", "--greedy", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Zo?")


@pytest.mark.compiles
def test_a_closed_pipe_ends_the_run_without_a_traceback():
    with start("generate", PROMPT, "--max-new-tokens", "200", "--seed", "1") as process:
        assert process.stdout.read(5) == PROMPT[:5].encode()
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert process.returncode == 141
    (note,) = stderr.splitlines()
    assert note.startswith("compiling the engine of ")


@pytest.mark.compiles
@pytest.mark.parametrize("moment", ["while it compiles", "while it writes"])
def test_ctrl_c_ends_the_run_with_130_and_without_a_traceback(moment, tmp_path):
    # An empty cache takes long to fill: the signal finds the compiler at work.
    cache = {} if moment == "while it writes" else {"MODULAR_DERIVED_PATH": str(tmp_path)}
    with start("generate", PROMPT, "--max-new-tokens", "220", "--seed", "1", **cache) as process:
        note = process.stderr.readline()
        if moment == "while it writes":
            process.stdout.read(len(PROMPT) + 1)
        else:
            time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b""
    assert note.startswith(b"compiling the engine of ")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give either a prompt or --ids"),
        (("hello", "--ids", "1"), "give either a prompt or --ids"),
        (("",), "the prompt is empty: the model needs at least one token"),
        (("-",), "the prompt is empty: the model needs at least one token"),
        (("hello", *RANDOM), "has no tokenizer: give token ids, as in --ids 1,2,3"),
        (("--ids", "1,x"), "--ids takes numbers as in 1,2,3, not '1,x'"),
        (("--ids", ""), "--ids takes numbers as in 1,2,3, not ''"),
        (("--ids", "1024", *RANDOM), "token id 1024 is outside the vocabulary, 0 to 1023"),
        (("--ids", "1" + "0" * 30, *RANDOM), "token ids must be integers"),
        (("--ids", "1", "--stop", "x"), "--stop looks for text"),
        (("hello", "--model", "random:huge"), "'random:huge' is not random:PRESET"),
        (("hello", "--temperature", "-1"), "temperature must be a finite number, 0 or more"),
        (("hello", "--temperature", "hot"), "--temperature: invalid float value: 'hot'"),
        (("hello", "--top-p", "0"), "top_p must lie above 0 and at most at 1, not 0.0"),
        (("hello", "--top-k", "-1"), "top_k must be 0 (off) or more, not -1"),
        (("hello", "--seed", "-1"), "seed must be 0 or more, not -1"),
        (("hello", "--max-new-tokens", "0"), "number of new tokens must be at least 1, not 0"),
        (("hello " * 300,), "tokens are more than the model's 256 positions"),
        (("--ids", "1" + ",1" * 255, *RANDOM), "there is no room for a new token"),
        (("hello", "--device", "gpu:99"), "MAX finds no accelerator on this machine"),
        (("hello", "--device", "tpu"), "unknown device 'tpu'; choose cpu, gpu or gpu:N"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(arguments, sentence):
    assert sentence in refused("generate", *arguments)


def test_an_unknown_model_is_told():
    sentence = refused("generate", "hello", "--model", "no/such", HF_HUB_OFFLINE="1")
    assert "`tiny` works without a network" in sentence


def test_an_unknown_command_is_told():
    assert "invalid choice: 'chat'" in refused("chat")
    assert "generate,demo,info" in refused()


def test_bytes_that_are_no_text_are_told():
    result = subprocess.run(
        [*COMMAND, "generate", "-"], cwd=ROOT, env=ENVIRONMENT, input=b"ab\xff", capture_output=True
    )
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"impl: stdin is not UTF-8 at byte 2\n"


def test_a_folder_without_a_tokenizer_and_one_with_too_large_a_tokenizer(
    tiny_folder, tokenizer_folder, tmp_path
):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_folder / name, tmp_path)
    assert "no tokenizer in" in refused("generate", "hello", "--model", str(tmp_path))
    whole = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    whole["model"]["vocab"]["added"] = 1024
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    sentence = refused("generate", "hello", "--model", str(tmp_path))
    assert "has 1025 tokens, more than the model's 1024" in sentence


def test_info_tells_sizes_hash_and_devices(checkpoint):
    result = run("info", *RANDOM)
    assert (result.returncode, result.stderr) == (0, "")
    told = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert told["parameters"] == "1353728"
    assert told["weight_bytes"] == str(4 * 1353728)
    assert told["sha256"] == checkpoint.sha256
    assert (told["n_layer"], told["n_inner"], told["model"]) == ("6", "512", RANDOM[1])
    assert told["devices"].startswith("cpu")


def test_info_of_the_shipped_model(tiny):
    result = run("info")
    assert result.returncode == 0
    assert tiny.sha256 in result.stdout


def test_the_shipped_tokenizer_fits_the_shipped_model(tiny, tiny_folder):
    tokenizer = Tokenizer.load(tiny_folder, model_vocab_size=tiny.config.vocab_size)
    assert tokenizer.eos_token_id is not None
    text = (tiny_folder / "heldout.txt").read_text(encoding="utf-8")
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.compiles
def test_neither_importing_all_of_impl_nor_generating_imports_torch():
    modules = [f"impl.{file.stem}" for file in (ROOT / "impl").glob("*.py")]
    assert len(modules) > 5
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module.removesuffix(".__init__"))
from impl.__main__ import main
assert main(["generate", "--ids", "1", "--max-new-tokens", "2", "--model", {RANDOM[1]!r}]) == 0
print(sorted({"torch", "transformers"} & sys.modules.keys()))
"""
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["config", "weights", "sampling", "tokenizer"])
def test_modules_that_need_no_max_do_not_start_it(module):
    code = f"import sys, impl.{module}; sys.exit(any(n.startswith('max.') for n in sys.modules))"
    assert python(code).returncode == 0
