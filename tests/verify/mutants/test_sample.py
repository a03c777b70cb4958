from collections import Counter

import pytest

from reference.taps import with_layer
from verify.mutants.generate import mutants
from verify.mutants.sample import EACH, Sample, group_of


@pytest.fixture(scope="module")
def every(gpt2):
    return mutants(gpt2.forced.graph, gpt2.forced.taps, gpt2.forced.given)


def test_each_kind_is_sampled_at_each_stage_of_some_block(every):
    chosen = Sample(every, every=False, seed=0).first()
    assert {group_of(mutant) for mutant in chosen} == {group_of(mutant) for mutant in every}
    assert len(chosen) < len(every) / 2
    assert max(Counter(map(group_of, chosen)).values()) == EACH
    fewer = Sample(every, every=False, seed=0, each=1).first()
    assert Counter(map(group_of, fewer)) == dict.fromkeys(map(group_of, every), 1)


def test_blocks_are_one_stage_of_the_sample(every):
    stages = {mutant.stage for mutant in every}
    assert len({with_layer(stage, "n") for stage in stages}) < len(stages)


def test_a_seed_draws_the_same_sample_again_and_another_seed_another_one(every):
    first, again, other = (
        [mutant.id for mutant in Sample(every, every=False, seed=seed).first()]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_where_a_mutant_shows_nothing_the_next_of_its_group_follows(every):
    sample = Sample(every, every=False, seed=0)
    first = sample.first()
    counts = Counter(map(group_of, every))
    silent = next(mutant for mutant in first if counts[group_of(mutant)] > EACH)
    (more,) = sample.more([silent])
    assert group_of(more) == group_of(silent)
    assert more not in first


def test_all_of_them_are_taken_once(every):
    sample = Sample(every, every=True, seed=0)
    assert {mutant.id for mutant in sample.first()} == {mutant.id for mutant in every}
    assert sample.more(every) == []
