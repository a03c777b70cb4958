"""What is asked: the same tokens for servers that take ids and for those that take texts."""

import json
import os
import subprocess
import sys

import pytest

from bench.serving.known import compare_with_alone
from bench.serving.prompts import draw
from bench.serving.server_arms import SERVERS, why_not
from impl.tokenizer import Tokenizer
from reference.load import TINY_FOLDER
from reports.commands import UsageError


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(TINY_FOLDER)


def test_a_text_is_encoded_to_just_its_ids(tokenizer):
    prompts = draw(40, (3, 20), 0, 1024, tokenizer)
    assert len({one.ids for one in prompts}) == 40
    assert {len(one.ids) for one in prompts} <= set(range(3, 21))
    for one in prompts:
        assert tuple(tokenizer.encode(one.text)) == one.ids
        assert tokenizer.eos_token_id not in one.ids


def test_the_seed_draws_them(tokenizer):
    assert draw(5, (8, 8), 1, 1024, tokenizer) == draw(5, (8, 8), 1, 1024, tokenizer)
    assert draw(5, (8, 8), 1, 1024, tokenizer) != draw(5, (8, 8), 2, 1024, tokenizer)


def test_without_a_tokenizer_there_are_ids_alone():
    prompts = draw(30, (4, 4), 0, 10, None)
    assert all(one.text is None and set(one.ids) <= set(range(10)) for one in prompts)


def test_more_prompts_than_there_are_is_said():
    with pytest.raises(UsageError, match="4 of 9 different prompts could be drawn"):
        draw(9, (1, 1), 0, 4, None)


def answer(prompt, ids, tokens=None):
    return {"prompt": prompt, "error": "", "ids": ids, "text": "", "tokens": tokens or len(ids)}


def test_without_a_checkpoint_an_answer_must_be_the_one_alone_and_whole():
    alone = {0: answer(0, [1, 2, 3]), 1: answer(1, [4, 5, 6]), 2: {"error": "gone"}}
    found = [answer(0, [1, 2, 3]), answer(1, [1, 2, 3]), answer(0, [1, 2]), answer(2, [1, 2, 3])]
    compare_with_alone(found, alone, 3)
    assert [one["right"] for one in found] == [True, False, False, None]
    assert found[1]["wrong"] == "another answer than the same prompt has alone"
    assert found[2]["wrong"] == "2 tokens, 3 were asked for"


def test_a_pinned_command_has_these_cpus_alone():
    cpu = min(os.sched_getaffinity(0))
    told = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))))"
    command = [sys.executable, "-m", "bench.asking.pinned", str(cpu), sys.executable, "-c", told]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert json.loads(done.stdout) == [cpu]


def test_a_peer_that_is_not_installed_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_GPT2_BENCH_PEERS", str(tmp_path))
    assert why_not("max") == ""
    for name, arm in SERVERS.items():
        if arm.peer:
            assert "not installed: run `python -m bench peers` first" in why_not(name)
