import numpy as np
import pytest

from impl.config import PRESETS, GPT2Config
from verify.checks import invariances as metamorphic
from verify.checks.invariances import CHECKS, Probed, metamorphic_checks

CONFIG = GPT2Config(vocab_size=1000, n_positions=40, n_embd=8, n_head=2, n_layer=1)
TABLE = np.random.default_rng(0).standard_normal((CONFIG.vocab_size, 6)).astype(np.float32)


class Fake:
    """A position's logits are the sum of what its tokens are worth; `spoil` breaks one property."""

    def __init__(self, spoil=lambda logits, ids, fake: logits):
        self.spoil = spoil
        self.previous = np.zeros((1, 1), np.int64)
        self.buffer = np.zeros((16, CONFIG.n_positions, CONFIG.vocab_size), np.float32)

    def logits(self, ids):
        summed = np.cumsum(TABLE[ids], axis=1)
        logits = np.tile(summed, -(-CONFIG.vocab_size // 6))[..., : CONFIG.vocab_size]
        spoilt = self.spoil(logits, ids, self)
        self.previous = ids.copy()
        return spoilt


def _failed(candidate, config=CONFIG, allowed=0.0):
    checks = metamorphic_checks(
        candidate, config, regime="stress", device="cpu", seed=0, allowed=allowed
    )
    return {
        check.case.removeprefix("stress-"): check.message
        for check in checks
        if check.verdict != "PASS"
    }


def next_token(logits, ids, fake):
    """The mask is off by one."""
    logits[:, :-1] += TABLE[ids[:, 1:], :1]
    return logits


def constant(logits, ids, fake):
    return np.ones_like(logits)


def by_row(logits, ids, fake):
    """Positions count on from one row to the next."""
    return logits + np.arange(len(ids), dtype=np.float32)[:, None, None]


def by_batch(logits, ids, fake):
    """Something is normalised over the whole batch."""
    return logits * np.float32(len(ids))


def tenth_row(logits, ids, fake):
    """Rows beyond the ninth are left unwritten."""
    logits[9:] = 0
    return logits


def rows_sorted(logits, ids, fake):
    """Rows are grouped by their first token, and come back in that order."""
    return logits[ids[:, 0].argsort(kind="stable")]


def by_length(logits, ids, fake):
    """Positions are counted from the end."""
    return logits * np.float32(ids.shape[1])


def padding_seen(logits, ids, fake):
    """Padding at the end of a row is attended to."""
    padded = (ids[:, -2:] == CONFIG.vocab_size - 1).all(axis=1)
    return logits + padded.astype(np.float32)[:, None, None]


def second_call(logits, ids, fake):
    """A buffer is added to, and not cleared, when an input comes again."""
    return logits + np.float32(np.array_equal(ids, fake.previous))


def left_over(logits, ids, fake):
    """What a longer call left in a buffer is read by a shorter one."""
    return logits + np.float32(fake.previous.shape[1] > ids.shape[1])


def aliased(logits, ids, fake):
    """What is handed out is the buffer that the next call writes to."""
    view = fake.buffer[: len(ids), : ids.shape[1]]
    view[:] = logits
    return view


def nan_at_last_id(logits, ids, fake):
    logits[ids == CONFIG.vocab_size - 1] = np.nan
    return logits


def clamped(logits, ids, fake):
    """The last token is taken for the one before it."""
    return Fake().logits(np.minimum(ids, CONFIG.vocab_size - 2))


def raises_at_one(logits, ids, fake):
    if ids.shape[1] == 1:
        raise ValueError("a dimension of 1")
    return logits


def raises_at_full_length(logits, ids, fake):
    if ids.shape[1] == CONFIG.n_positions:
        raise RuntimeError("out of positions")
    return logits


def in_float64(logits, ids, fake):
    return logits.astype(np.float64)


def test_a_correct_candidate_passes():
    assert _failed(Fake()) == {}


@pytest.mark.parametrize(
    ("spoil", "failed"),
    [
        (next_token, {"causality", "token-0", "prefix", "right-padding"}),
        (constant, {"causality", "no-trace", "edge-ids"}),
        (by_row, {"token-0", "batch", "permutation", "right-padding"}),
        (by_batch, {"batch", "right-padding"}),
        (tenth_row, {"token-0", "batch", "permutation"}),
        (rows_sorted, {"batch", "permutation"}),
        (by_length, {"prefix", "right-padding"}),
        (padding_seen, {"right-padding"}),
        (second_call, {"repeatability", "no-trace"}),
        (left_over, {"prefix", "right-padding", "no-trace"}),
        (aliased, {"no-trace"}),
        (nan_at_last_id, {"edge-ids"}),
        (clamped, {"edge-ids"}),
        (raises_at_one, {"shortest", "prefix", "right-padding", "edge-ids"}),
        (raises_at_full_length, {"longest"}),
        (in_float64, {"shortest", "longest", "edge-ids"}),
    ],
)
def test_a_broken_property_fails_its_checks_and_no_others(spoil, failed):
    messages = _failed(Fake(spoil))
    assert messages.keys() == failed
    assert all(messages.values())


def test_ids_that_are_not_refused_fail(monkeypatch):
    monkeypatch.setattr(metamorphic, "check_ids", lambda config, ids: ids)
    messages = _failed(Fake())
    assert messages.keys() == {"refused-shapes", "refused-ids"}
    assert messages["refused-shapes"] == "shape [1, 41], shape [1, 0], shape [0, 1]: not refused"
    assert messages["refused-ids"] == "token id 1000, token id -1, token id -1000: not refused"


def test_an_error_of_another_kind_is_no_clear_refusal(monkeypatch):
    def crash(config, ids):
        raise IndexError("index out of range")

    monkeypatch.setattr(metamorphic, "check_ids", crash)
    assert _failed(Fake()).keys() == {"refused-shapes", "refused-ids"}


def test_shapes_may_differ_by_what_is_allowed_and_by_no_more():
    def rounding(logits, ids, fake):
        return logits + np.float32(2e-5 * ids.shape[1])

    assert _failed(Fake(rounding)).keys() == {"prefix", "right-padding"}
    assert _failed(Fake(rounding), allowed=1e-4).keys() == {"prefix", "right-padding"}
    assert _failed(Fake(rounding), allowed=1e-3) == {}


def test_nothing_is_allowed_within_one_row_of_one_shape():
    assert {"causality", "no-trace"} <= _failed(Fake(constant), allowed=1e9).keys()
    assert _failed(Fake(next_token), allowed=1e9).keys() == {"causality"}
    assert _failed(Fake(second_call), allowed=1e9).keys() == {"repeatability", "no-trace"}


def test_nan_is_no_agreement():
    def nan(logits, ids, fake):
        return logits + np.float32(np.nan)

    passed = CHECKS.keys() - _failed(Fake(nan), allowed=1e9).keys()
    assert passed == {"refused-shapes", "refused-ids"}


def test_checks_tell_their_figures_and_have_a_name_of_their_own():
    checks = list(
        metamorphic_checks(
            Fake(by_length), CONFIG, regime="stress", device="gpu:1", seed=0, allowed=0.5
        )
    )
    assert [check.case for check in checks] == [f"gpu:1-stress-{name}" for name in CHECKS]
    assert {check.mode for check in checks} == {"metamorphic"}
    prefix = next(check for check in checks if check.case.endswith("prefix"))
    assert prefix.used == prefix.max_abs / 0.5
    assert prefix.details == {"allowed": 0.5, "comparisons": 5}
    assert prefix.message == f"what follows a prefix changes a logit by {prefix.max_abs:.2e}"


def test_full_length_is_left_out_for_large_models_with_its_reason():
    subject = Probed(
        candidate=None, config=PRESETS["gpt2"], prefix="", seed=0, allowed=0, dtype="float32"
    )
    check = CHECKS["longest"](subject, "longest")
    assert check.verdict == "SKIP"
    assert check.message == "1024 tokens take long with 124 million parameters"


def test_a_model_of_a_single_position_can_be_checked():
    config = GPT2Config(vocab_size=1000, n_positions=1, n_embd=8, n_head=2, n_layer=1)
    assert _failed(Fake(), config) == {}


@pytest.mark.compiles
def test_the_correct_model_passes(bound, checkpoint):
    """Equal bits but for the length; 1e-6 is what other lengths were seen to change."""
    checks = metamorphic_checks(
        bound, checkpoint.config, regime="given", device="cpu", seed=0, allowed=2e-6
    )
    found = {check.case: check for check in checks}
    assert {case: c.message for case, c in found.items() if c.verdict != "PASS"} == {}
    for name in ("token-0", "batch", "permutation"):
        assert found[f"given-{name}"].max_abs == 0
