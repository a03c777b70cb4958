"""When a checkpoint is kept, when losses are taken, and how the learning rate runs."""

import pytest

from reference.finetuning.settings import FULL_RATE, LORA_RATE, Settings


def made(**values):
    return Settings(model="m", text="t", **values)


@pytest.mark.parametrize(("steps", "checkpoints"), [(1, 5), (3, 5), (200, 5), (7, 2), (1000, 1)])
def test_the_first_and_the_last_step_are_kept_and_evaluated(steps, checkpoints):
    settings = made(steps=steps, checkpoints=checkpoints)
    kept, looked = settings.checkpoint_steps(), settings.evaluation_steps()
    assert kept[0] == 0
    assert kept[-1] == steps
    assert len(kept) == min(steps, checkpoints) + 1
    assert set(kept) <= set(looked)
    assert looked == sorted(looked)


def test_what_is_not_asked_for_fits_what_is_trained():
    assert made().peak == FULL_RATE
    assert made(lora=4).peak == LORA_RATE
    assert made(lora=4).alpha == 8
    assert made(lora=4, lora_alpha=1.0, learning_rate=0.5).alpha == 1.0
    assert made(lora=4, learning_rate=0.5).peak == 0.5


def test_a_record_gives_the_same_settings():
    settings = made(lora=4, lora_targets=("c_fc",), prompt="x", seed=3)
    assert Settings.of(settings.record()) == settings
