"""The engine computes what the model without a cache computes, however the tokens come."""

import os

import numpy as np
import pytest
from max.driver import Buffer

from impl import mojo_program
from impl.config import GPT2Config, parameter_shapes
from impl.engine import Engine, EngineError
from impl.mojo_program import MojoProgram
from impl.packing import held_state
from impl.runtime import NO_ACCELERATOR, InputError, device_names, open_device
from impl.stock import future_mask
from reference.checkpoint import Checkpoint
from reference.oracle import Oracle

BATCH = 3
MATRICES = ["transformer.wte.weight", "transformer.h.1.mlp.c_fc.weight", "lm_head.weight"]
ROUNDING = 2e-6  # of logits of size 1: a few units in the last place of the sums behind them


@pytest.fixture(scope="session", params=["stock", "mojo"])
def engine(request, checkpoint):
    return Engine(checkpoint.config, checkpoint.weights, batch=BATCH, kernels=request.param)


@pytest.fixture(scope="session")
def ids(checkpoint):
    shape = (BATCH, checkpoint.config.n_positions)
    return np.random.default_rng(5).integers(0, checkpoint.config.vocab_size, shape)


@pytest.fixture(scope="session")
def expected(compiled, ids):
    """Logits of every position, computed without a cache."""
    return compiled(ids)


@pytest.fixture
def fresh(engine):
    engine.reset()
    return engine


def close(logits, expected):
    np.testing.assert_allclose(logits, expected, rtol=0, atol=ROUNDING)


compiles = pytest.mark.compiles


@compiles
@pytest.mark.parametrize("length", [1, 2, 31, 33, 128, 256])
def test_prefill_gives_the_models_logits(fresh, ids, expected, length):
    close(fresh.prefill(ids[:, :length], logits="all"), expected[:, :length])
    fresh.reset()
    close(fresh.prefill(ids[:, :length]), expected[:, length - 1])


@compiles
def test_decode_gives_the_models_logits_at_every_depth(fresh, ids, expected):
    for depth in range(ids.shape[1]):
        close(fresh.decode(ids[:, depth]), expected[:, depth])
    assert fresh.position.tolist() == [ids.shape[1]] * BATCH


@compiles
@pytest.mark.parametrize("cuts", [[1, 2, 3], [1, 9, 40], [100, 101, 250], [31, 32, 33, 34]])
def test_a_prompt_in_parts_is_the_whole_prompt(fresh, ids, expected, cuts):
    for start, end in zip([0, *cuts], [*cuts, 256], strict=True):
        close(fresh.prefill(ids[:, start:end], logits="all"), expected[:, start:end])


@compiles
def test_rows_of_different_lengths_go_on_each_at_its_own_position(fresh, ids, expected):
    rows, lengths = np.arange(BATCH), np.array([5, 33, 17])
    close(fresh.prefill(ids[:, :40], lengths), expected[rows, lengths - 1])
    for _ in range(3):
        close(fresh.decode(ids[rows, lengths]), expected[rows, lengths])
        lengths = lengths + 1
    assert fresh.position.tolist() == lengths.tolist()


@compiles
def test_a_conversation_of_unequal_turns_is_continued(fresh, ids, expected):
    rows, held = np.arange(BATCH), np.zeros(BATCH, int)
    for turns in ([7, 1, 30], [2, 40, 3], [50, 1, 1]):
        lengths = np.array(turns)
        part = np.stack([ids[row, held[row] : held[row] + 50] for row in rows])
        logits = fresh.prefill(part, lengths, logits="all")
        for row, length in enumerate(turns):
            close(logits[row, :length], expected[row, held[row] : held[row] + length])
            assert not logits[row, length:].any()
        held = held + lengths


@compiles
def test_what_padding_left_behind_is_seen_by_nobody(fresh, ids):
    lengths, other = np.array([2, 9, 4]), ids[:, :9].copy()
    other[0, 2:], other[2, 4:] = 1, 2
    one = fresh.prefill(ids[:, :9], lengths)
    after = [fresh.decode(ids[:, 20 + step]) for step in range(8)]
    fresh.reset()
    assert np.array_equal(one, fresh.prefill(other, lengths))
    assert all(
        np.array_equal(after[step], fresh.decode(ids[:, 20 + step])) for step in range(len(after))
    )


@compiles
def test_a_reset_engine_is_as_new(fresh, ids):
    first = fresh.prefill(ids[:, :20])
    fresh.reset()
    fresh.prefill(ids[:, 30:90])
    fresh.reset()
    assert fresh.position.tolist() == [0] * BATCH
    assert np.array_equal(first, fresh.prefill(ids[:, :20]))


@compiles
def test_a_full_context_is_refused_and_nothing_is_appended(fresh, ids, expected):
    size = ids.shape[1]
    fresh.prefill(ids[:, : size - 1])
    with pytest.raises(InputError, match=f"context is full: {size + 1} tokens are more than"):
        fresh.prefill(ids[:, :2])
    close(fresh.decode(ids[:, -1]), expected[:, -1])
    with pytest.raises(InputError, match="context is full"):
        fresh.decode(ids[:, 0])


@compiles
def test_next_token_computes_only_what_is_new(fresh, ids, expected, monkeypatch):
    widths = []
    forward = fresh._program.forward

    def watched(tokens, *arguments, **options):
        widths.append(tokens.shape[1])
        return forward(tokens, *arguments, **options)

    monkeypatch.setattr(fresh._program, "forward", watched)
    for length in (10, 11, 12, 12, 30, 5):
        close(fresh.logits(ids[:, :length]), expected[:, length - 1])
    assert widths == [10, 1, 1, 1, 18, 1]
    other = ids[:, :20].copy()
    other[1, 3] = (other[1, 3] + 1) % 100
    fresh.logits(other)
    fresh.logits(ids[:, :20])
    assert widths[6:] == [17, 17]  # the first three tokens are the same


@compiles
@pytest.mark.parametrize(
    ("prompt", "lengths", "message"),
    [
        (np.zeros((2, 4), int), None, "2 rows were given to an engine of 3"),
        (np.zeros((3, 4), int), np.array([1, 2]), "lengths must be 3 integers"),
        (np.zeros((3, 4), int), np.array([1.0, 2, 3]), "lengths must be 3 integers"),
        (np.zeros((3, 4), int), np.array([1, 0, 4]), "between 1 and 4"),
        (np.zeros((3, 4), int), np.array([1, 5, 4]), "between 1 and 4"),
        (np.full((3, 4), -1), None, "token id -1 is outside the vocabulary"),
        (np.zeros((3, 0), int), None, "the prompt is empty"),
    ],
)
def test_what_cannot_be_appended_is_told(fresh, prompt, lengths, message):
    with pytest.raises(InputError, match=message):
        fresh.prefill(prompt, lengths)
    assert fresh.position.tolist() == [0] * BATCH


@compiles
def test_logits_are_the_callers_own(fresh, ids):
    first = fresh.prefill(ids[:, :3])
    kept = first.copy()
    fresh.decode(ids[:, 3])
    assert np.array_equal(first, kept)


@compiles
def test_memory_is_told_with_a_tied_head_counted_once(checkpoint, engine):
    config = checkpoint.config
    cached = 2 * config.n_layer * BATCH * config.n_positions * config.n_embd * 4
    assert engine.cache_bytes == cached
    parameters = 4 * config.parameter_count
    kept = engine.weight_bits / 32
    assert kept * parameters <= engine.weight_bytes < 1.05 * kept * parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "dtype is float32 or bfloat16 or int8 or .* or bfloat16-cache, not"),
        ({"kernels": "cuda"}, "kernels is auto or mojo or stock or .*, not 'cuda'"),
        ({"kernels": "stock", "dtype": "int8"}, "int8 needs the Mojo kernels"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
    ],
)
def test_an_engine_that_cannot_be_built_is_told(checkpoint, options, message):
    with pytest.raises(EngineError, match=message):
        Engine(checkpoint.config, checkpoint.weights, **options)


def test_a_mask_hides_what_lies_ahead():
    later = -np.inf
    assert np.array_equal(future_mask(2, 4), [[0, 0, 0, later], [0, 0, 0, 0]])
    assert np.array_equal(future_mask(0, 1), [[0]])


@pytest.fixture(scope="session")
def mojo(checkpoint):
    return Engine(checkpoint.config, checkpoint.weights, batch=BATCH, kernels="mojo")


@compiles
def test_mojo_logits_are_the_same_bit_for_bit_however_the_tokens_come(mojo, ids):
    """Each sum is one chain in the order of the depth, whatever stands beside it."""
    mojo.reset()
    whole = mojo.prefill(ids, logits="all")
    mojo.reset()
    parts = [
        mojo.prefill(part, logits="all") for part in np.split(ids[:, :200], [1, 9, 73], axis=1)
    ]
    assert np.array_equal(np.concatenate(parts, axis=1), whole[:, :200])
    for depth in range(200, 256):
        assert np.array_equal(mojo.decode(ids[:, depth]), whole[:, depth])


@compiles
def test_mojo_rows_do_not_depend_on_the_rows_beside_them(checkpoint, mojo, ids):
    alone = Engine(checkpoint.config, checkpoint.weights, kernels="mojo")
    mojo.reset()
    together = mojo.prefill(ids[:, :40], np.array([40, 3, 21]), logits="all")
    after = mojo.decode(ids[:, 50])
    for row, length in enumerate((40, 3, 21)):
        alone.reset()
        logits = alone.prefill(ids[row : row + 1, :length], logits="all")
        assert np.array_equal(logits[0], together[row, :length])
        assert np.array_equal(alone.decode(ids[row, 50:51])[0], after[row])


@compiles
@pytest.mark.parametrize("kernels", ["mojo", "stock"])
def test_an_engine_follows_the_activation_and_the_scales_of_its_configuration(kernels):
    sizes = {"vocab_size": 40, "n_positions": 12, "n_embd": 32, "n_head": 4, "n_layer": 3}
    config = GPT2Config(**sizes, activation_function="gelu", scale_attn_by_inverse_layer_idx=True)
    rng = np.random.default_rng(2)
    state = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    tokens = rng.integers(0, 40, (1, 12))
    logits = Engine(config, state, kernels=kernels).prefill(tokens, logits="all")
    exact = Oracle(Checkpoint(name="gelu", config=config, weights=state)).language_model(tokens)
    np.testing.assert_allclose(logits, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


@compiles
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_mojo_kernels_compute_what_their_weights_say_at_sizes_that_fill_no_vector(dtype):
    """Width, heads, context and vocabulary are no multiple of anything; the head is its own.

    The weights that the engine holds are exact in float64: only its sums differ.
    """
    odd = {"vocab_size": 77, "n_positions": 45, "n_embd": 42, "n_head": 6, "n_inner": 51}
    config = GPT2Config(**odd, n_layer=2, tie_word_embeddings=False)
    rng = np.random.default_rng(1)
    state = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    tokens = rng.integers(0, 77, (2, 45))
    engine = Engine(config, state, batch=2, kernels="mojo", dtype=dtype)
    whole = engine.prefill(tokens, logits="all")
    held = held_state(state, dtype)
    assert all(np.array_equal(held[name], state[name]) == (dtype == "float32") for name in MATRICES)
    oracle = Oracle(Checkpoint(name="odd", config=config, weights=held))
    exact = oracle.language_model(tokens)
    np.testing.assert_allclose(whole, exact, rtol=0, atol=1e-5 * np.abs(exact).max())
    engine.reset()
    engine.prefill(tokens[:, :20])
    for depth in range(20, 45):
        assert np.array_equal(engine.decode(tokens[:, depth]), whole[:, depth])


@compiles
@pytest.mark.parametrize(
    ("kernels", "dtype", "error"),
    [
        ("mojo", "bfloat16-products", 2e-2),
        ("mojo-tiles-emulated", "bfloat16-products", 2e-2),
        ("mojo", "bfloat16-cache", 2e-2),
        ("mojo-tiles-emulated", "bfloat16-cache", 2e-2),
        ("mojo-tiles-emulated", "float32", 1e-6),
        ("mojo-tiles-emulated", "int8", 1e-6),
    ],
)
def test_products_of_bfloat16_at_sizes_that_fill_no_tile(kernels, dtype, error):
    """In tiles a token alone is computed by other sums than in a prompt, and as exactly."""
    config = GPT2Config(
        vocab_size=77, n_positions=45, n_embd=42, n_head=6, n_inner=51, n_layer=2,
        tie_word_embeddings=False,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    state = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    tokens = rng.integers(0, 77, (2, 45))
    engine = Engine(config, state, batch=2, kernels=kernels, dtype=dtype)
    assert engine.cache_bytes == 2 * 2 * 6 * 64 * (7 + 16) * (2 if dtype.endswith("cache") else 4)
    whole = engine.prefill(tokens, logits="all")
    oracle = Oracle(Checkpoint(name="odd", config=config, weights=held_state(state, dtype)))
    exact = oracle.language_model(tokens)
    allowed = error * np.abs(exact).max()
    np.testing.assert_allclose(whole, exact, rtol=0, atol=allowed)
    engine.reset()
    engine.prefill(tokens[:, :20])
    for depth in range(20, 45):
        one = engine.decode(tokens[:, depth])
        if kernels == "mojo":
            assert np.array_equal(one, whole[:, depth])
        np.testing.assert_allclose(one, whole[:, depth], rtol=0, atol=allowed)


@compiles
def test_weights_that_three_terms_do_not_hold_are_multiplied_in_vectors(checkpoint, ids):
    state = {name: array.copy() for name, array in checkpoint.weights.items()}
    state["transformer.h.1.mlp.c_fc.weight"][:, 5] *= np.float32(1e-35)
    engine = Engine(checkpoint.config, state, batch=BATCH, kernels="mojo-tiles-emulated")
    assert "not in tiles: three bfloat16 terms do not hold these weights" in engine.kernel_path
    vectors = Engine(checkpoint.config, state, batch=BATCH, kernels="mojo")
    assert np.array_equal(engine.prefill(ids[:, :20]), vectors.prefill(ids[:, :20]))


@compiles
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_weights_give_the_same_bits(checkpoint, ids, dtype):
    """Some are zero, tiny, large or at the window's ends: those are kept whole beside the rest."""
    state = {name: array.copy() for name, array in checkpoint.weights.items()}
    rng = np.random.default_rng(2)
    for name in ("transformer.wte.weight", "transformer.h.2.mlp.c_fc.weight"):
        flat = state[name].reshape(-1)
        places = rng.choice(flat.size, flat.size // 500, replace=False)
        flat[places] = rng.choice([0, -1e-30, 2**-20, -1e-3, 1e-37, 3], places.size)
    found = []
    for narrow in (True, False):
        program = MojoProgram(
            checkpoint.config, state, open_device("cpu"), BATCH, dtype, narrow=narrow
        )
        parts = [program.forward(*_part(ids, *span), every=True) for span in ((0, 40), (40, 41))]
        found.append((program.weight_bytes, np.concatenate(parts, axis=1)))
    assert found[0][0] < 0.9 * found[1][0]
    assert np.array_equal(found[0][1], found[1][1])


def test_memory_for_logits_is_used_again_and_never_while_somebody_holds_it():
    results = mojo_program.Results(8)
    held = [results.take(2)[0] for _ in range(3)]
    assert len({array.ctypes.data for array in held}) == 3
    view, place = held[1][0], held[1].ctypes.data
    held.clear()
    assert results.take(2)[0].ctypes.data != place  # a view holds it too
    last, places = None, set()
    for _ in range(20):
        last, _ = results.take(2)
        places.add(last.ctypes.data)
    assert len(places) <= 3  # a loop that holds one until it has the next
    assert view.base is not None


@pytest.mark.parametrize(("cache", "dtype", "held"), [
    (33_554_432, "float32", True), (16_777_216, "float32", False), (16_777_216, "bfloat16", True),
    (0, "int8", False),
])  # fmt: skip
def test_weights_that_the_caches_hold_are_not_narrow(checkpoint, monkeypatch, cache, dtype, held):
    """`tiny` has 1.35 million of them; a quarter of the last cache counts."""
    monkeypatch.setattr(mojo_program, "last_level_cache_bytes", lambda: cache)
    assert mojo_program.in_caches(checkpoint.config, dtype) is held


@compiles
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_one_cpu_computes_the_same_bits_as_all(checkpoint, ids):
    engine = Engine(checkpoint.config, checkpoint.weights, kernels="mojo", batch=BATCH)
    allowed, found = os.sched_getaffinity(0), []
    try:
        for cpus in (allowed, {min(allowed)}):
            os.sched_setaffinity(0, cpus)
            engine.reset()
            found.append((engine.prefill(ids[:, :40], logits="all"), engine.decode(ids[:, 40])))
    finally:
        os.sched_setaffinity(0, allowed)
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def _part(ids, start, end):
    """Tokens, how many came before, and how many each row has."""
    return ids[:, start:end].copy(), np.full(BATCH, start), np.full(BATCH, end - start)


@compiles
def test_an_engine_of_another_batch_shares_the_weights_and_nothing_else(fresh, ids, expected):
    fresh.prefill(ids[:, :7])
    alone = fresh.resized(1)
    close(alone.prefill(ids[1:2, :9], logits="all"), expected[1:2, :9])
    close(fresh.decode(ids[:, 7]), expected[:, 7])
    close(alone.decode(ids[1:2, 9]), expected[1:2, 9])
    assert alone._program._weights is fresh._program._weights
    assert (alone.batch, alone.cache_bytes * BATCH) == (1, fresh.cache_bytes)
    with pytest.raises(EngineError, match="batch must be at least 1, not 0"):
        fresh.resized(0)


@compiles
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": [[0, 1], [2, 1024], [3, 4]]}, "an id is outside the vocabulary"),
        ({"asked": [0, 2, 6]}, "a state is asked for that is not there"),
        ({"asked": [0, -1, 5]}, "a state is asked for that is not there"),
        ({"past": [0, 256, 0]}, "past is outside"),
        ({"past": [0, -1, 0]}, "past is outside"),
        ({"asked": [0, 1]}, "logits do not fit|asked"),
        ({"past": [0, 1]}, "past has other rows than ids|batch"),
    ],
)
def test_the_operation_checks_what_it_is_handed(mojo, changed, message):
    """MAX does not: what does not fit would be read and written outside its memory."""
    given = {"ids": [[0, 1], [2, 3], [4, 5]], "past": [0, 0, 0], "asked": [1, 3, 5]} | changed
    logits = np.zeros((3, 1024), np.float32)
    arrays = [logits, *(np.array(given[name]) for name in ("ids", "past", "asked"))]
    program = mojo._program
    with pytest.raises(ValueError, match=message):
        program._model.execute(*map(Buffer.from_numpy, arrays), *program._buffers)


@compiles
def test_logits_stay_the_callers_own(checkpoint, ids):
    """Memory is used again only where nobody holds it, not even a part of it."""
    engine = Engine(checkpoint.config, checkpoint.weights, batch=BATCH, kernels="mojo")
    first = engine.prefill(ids[:, :5], logits="all")
    kept, part = first.copy(), first[1, 2]
    address = first.ctypes.data
    del first
    engine.reset()
    assert engine.prefill(ids[:, 5:10], logits="all").ctypes.data != address
    assert np.array_equal(part, kept[1, 2])
    del part
    engine.reset()
    again = [engine.prefill(ids[:, 5:10], logits="all").ctypes.data]
    engine.reset()
    again.append(engine.prefill(ids[:, :5], logits="all").ctypes.data)
    assert again[0] == again[1]


@compiles
@pytest.mark.gpu
@pytest.mark.skipif(len(device_names()) == 1, reason=NO_ACCELERATOR)
def test_an_accelerator_gives_the_models_logits(checkpoint, ids, expected):
    engine = Engine(checkpoint.config, checkpoint.weights, "gpu", batch=BATCH)
    logits = engine.prefill(ids[:, :40], logits="all")
    np.testing.assert_allclose(logits, expected[:, :40], rtol=0, atol=1e-2)  # TF32 may be used
    for depth in range(40, 50):
        found = engine.decode(ids[:, depth])
        np.testing.assert_allclose(found, expected[:, depth], rtol=0, atol=1e-2)
