"""Workloads carry the names and the counts that users of llama-bench know."""

import numpy as np
import pytest

from bench.workload.workload import Workload, prompt_ids, workloads

FORWARD = Workload(batch=2, n_prompt=8)
GENERATION = Workload(batch=2, n_gen=4, n_depth=8)


def test_names_say_what_is_timed():
    assert Workload(batch=1, n_prompt=128).name == "pp128"
    assert Workload(batch=1, n_gen=16, n_depth=32).name == "tg16 @ d32"
    assert Workload(batch=2, n_gen=16, n_depth=32).name == "tg16 @ d32 b2"
    assert Workload(batch=1, n_prompt=128, logits="last").name == "pp128 last"
    assert Workload(batch=4, n_prompt=128).name == "pp128 b4"


def test_forward_passes_count_prompt_tokens_and_generation_new_ones():
    assert (FORWARD.tokens, FORWARD.prompt_length, FORWARD.length) == (16, 8, 8)
    assert (GENERATION.tokens, GENERATION.prompt_length, GENERATION.length) == (8, 8, 12)


def test_the_logits_policy_is_part_of_the_workload():
    assert FORWARD.logits_policy == "all"
    assert GENERATION.logits_policy == "last"


def test_every_size_is_combined_with_every_batch_and_zero_asks_for_none():
    names = [workload.name for workload in workloads([8, 0], [4], [16, 0], [1, 2])]
    assert names == [
        "pp8", "pp8 b2", "tg4 @ d16", "tg4 @ d0", "tg4 @ d16 b2", "tg4 @ d0 b2",
    ]  # fmt: skip
    assert workloads([0], [0], [16], [1]) == []


def test_the_contexts_pass_gives_one_token_and_each_step_another():
    assert (GENERATION.n_gen, GENERATION.n_new) == (4, 5)
    assert FORWARD.n_new == 0


def test_no_context_is_the_one_token_that_a_model_needs():
    assert Workload(batch=1, n_gen=4, n_depth=0).prompt_length == 1


def test_a_worker_gets_the_same_workload():
    assert Workload(**GENERATION.as_dict()) == GENERATION


def test_a_block_has_the_same_ids_in_every_process():
    assert np.array_equal(prompt_ids(FORWARD, 50, 7, 3), prompt_ids(FORWARD, 50, 7, 3))


@pytest.mark.parametrize(
    "other", [(FORWARD, 50, 7, 4), (FORWARD, 50, 8, 3), (GENERATION, 50, 7, 3)]
)
def test_another_block_seed_or_workload_has_other_ids(other):
    assert not np.array_equal(prompt_ids(FORWARD, 50, 7, 3), prompt_ids(*other))


def test_ids_are_int64_within_the_vocabulary():
    ids = prompt_ids(Workload(batch=3, n_prompt=100), 5, 0, 0)
    assert ids.dtype == np.int64
    assert ids.shape == (3, 100)
    assert set(ids.flat) == set(range(5))
