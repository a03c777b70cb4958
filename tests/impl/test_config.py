"""A configuration is checked where it is made, and counts its parameters as transformers does."""

from dataclasses import asdict, replace

import pytest
import transformers

from impl.config import PRESETS, ConfigError, GPT2Config

SIZES = {"vocab_size": 7, "n_positions": 5, "n_embd": 6, "n_layer": 2, "n_head": 3}
PUBLISHED = {  # parameters of the checkpoints on the hub, a tied head counted once
    "distilgpt2": 81_912_576,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize(("preset", "count"), PUBLISHED.items())
def test_a_preset_has_the_published_number_of_parameters(preset, count):
    assert PRESETS[preset].parameter_count == count


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("n_inner", [None, 11])
def test_the_parameter_count_is_that_of_transformers(tied, n_inner):
    config = GPT2Config(**SIZES, n_inner=n_inner, tie_word_embeddings=tied)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**asdict(config)))
    assert config.parameter_count == theirs.num_parameters()


def test_the_defaults_are_those_of_transformers():
    theirs = transformers.GPT2Config()
    assert {name: getattr(theirs, name) for name in asdict(GPT2Config())} == asdict(GPT2Config())


def test_derived_sizes():
    config = GPT2Config(**SIZES)
    assert (config.head_dim, config.inner_dim) == (2, 24)
    assert replace(config, n_inner=10).inner_dim == 10


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1, 2.0, True, "6", None])
def test_a_size_that_is_no_positive_integer_is_named(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be a positive integer, not"):
        GPT2Config(**SIZES | {name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 4}, r"n_embd \(6\) must be divisible by n_head \(4\)"),
        ({"n_inner": 0}, "inner_dim must be a positive integer"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon must lie between 0 and 1"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon must lie between 0 and 1"),
        ({"layer_norm_epsilon": "1e-5"}, "layer_norm_epsilon must lie between 0 and 1"),
        ({"layer_norm_epsilon": "1e-5"}, "not '1e-5', a string"),
        (
            {"activation_function": "mish"},
            "'mish', which is not computed here; these are: gelu_new",
        ),
        ({"scale_attn_weights": 1}, "scale_attn_weights must be true or false, not 1"),
    ],
)
def test_values_that_do_not_fit_are_told(change, message):
    with pytest.raises(ConfigError, match=message):
        GPT2Config(**SIZES | change)


def test_from_dict_reads_what_transformers_writes():
    written = transformers.GPT2Config(**SIZES).to_dict()
    assert GPT2Config.from_dict(written) == GPT2Config(**SIZES)


def test_sizes_are_read_under_both_of_their_names():
    other = {
        "hidden_size": 6,
        "max_position_embeddings": SIZES["n_positions"],
        "num_hidden_layers": SIZES["n_layer"],
        "num_attention_heads": SIZES["n_head"],
    }
    assert GPT2Config.from_dict(other | {"vocab_size": SIZES["vocab_size"]}) == GPT2Config(**SIZES)
    with pytest.raises(ConfigError, match="hidden_size is 12 and n_embd is 6"):
        GPT2Config.from_dict(SIZES | {"hidden_size": 12})


def test_n_ctx_stands_for_positions_that_are_not_given():
    sizes = {name: value for name, value in SIZES.items() if name != "n_positions"}
    assert GPT2Config.from_dict(sizes | {"n_ctx": 7}).n_positions == 7
    assert GPT2Config.from_dict(SIZES | {"n_ctx": 7}).n_positions == SIZES["n_positions"]


@pytest.mark.parametrize(
    ("options", "divisors"),
    [({}, (2**0.5, 2**0.5)), ({"scale_attn_weights": False}, (1, 1)),
     ({"scale_attn_by_inverse_layer_idx": True}, (2**0.5, 2 * 2**0.5))],
)  # fmt: skip
def test_scores_are_divided_as_transformers_does(options, divisors):
    config = GPT2Config(**SIZES, **options)
    assert tuple(map(config.attention_divisor, (0, 1))) == pytest.approx(divisors)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**SIZES, **options))
    for layer, block in enumerate(theirs.transformer.h):
        assert 1 / block.attn.scaling == pytest.approx(config.attention_divisor(layer))


def test_from_dict_ignores_keys_that_do_not_change_the_shape():
    assert GPT2Config.from_dict(SIZES | {"resid_pdrop": 0.1}) == GPT2Config(**SIZES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama', not 'gpt2'"),
        ({"add_cross_attention": True}, "it attends to an encoder, which GPT-2 lacks"),
    ],
)
def test_from_dict_refuses_what_is_not_computed(change, message):
    with pytest.raises(ConfigError, match=message):
        GPT2Config.from_dict(SIZES | change)


@pytest.mark.parametrize("name", SIZES)
def test_from_dict_names_a_missing_size(name):
    rest = {key: value for key, value in SIZES.items() if key != name}
    with pytest.raises(ConfigError, match=f"config has no {name}"):
        GPT2Config.from_dict(rest)


def test_tying_is_told_by_a_truth_value_only():
    with pytest.raises(ConfigError, match="tie_word_embeddings must be true or false, not 'no'"):
        GPT2Config(tie_word_embeddings="no")
