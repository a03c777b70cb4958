"""Which fields of a configuration a package follows: each changed alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import transformers

from tests.verify.package.packages import custom_package, own_registry
from verify.package.opening.subject import Package
from verify.package.reading import configuration
from verify.package.reading.configuration import configuration_checks, names
from verify.package.reading.drawn import rope_parameters
from verify.package.reading.fields import Change, changes, fields, rope_changes
from verify.package.reading.holders import holders

THETA = "rope_theta=get_rope_theta(huggingface_config),\n            rope_scaling_params="
FEW = ("rms_norm_eps", "rope_theta", "num_key_value_heads")
UNREAD = "and the package's not at all"


@pytest.fixture(autouse=True)
def built_in_packages_are_back():
    with own_registry():
        yield


def answers(source, *fields, v3=False, custom=()):
    package = Package(v3=v3, custom=[str(one) for one in custom])
    return list(configuration_checks(source, package, only=fields))


def failed(checks):
    return {check.tap: check.message for check in checks if check.verdict == "FAIL"}


def numbers(checks):
    """Verdicts of the fields that are numbers."""
    return {c.tap: c.verdict for c in checks if c.tap and not c.details["switch"]}


@pytest.fixture(scope="module")
def llama():
    """The answers about MAX's own Llama, by whether it is the one of `max.experimental.nn`."""
    with own_registry():
        return {v3: answers("LlamaForCausalLM", v3=v3) for v3 in (False, True)}


NUMBERS = {
    "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "rms_norm_eps", "rope_parameters.rope_theta", "head_dim", "rope_parameters.factor",
    "rope_parameters.high_freq_factor", "rope_parameters.low_freq_factor",
    "rope_parameters.original_max_position_embeddings",
}  # fmt: skip


@pytest.mark.parametrize("v3", [False, True])
def test_max_s_llama_follows_every_number(llama, v3):
    """But for one: the rotary table of the one of `max.nn` in MAX 26.7 is as wide as hidden_size /
    num_attention_heads, whatever head_dim says."""
    found = numbers(llama[v3])
    assert set(found) == NUMBERS
    wrong = {tap for tap, verdict in found.items() if verdict != "PASS"}
    assert wrong == (set() if v3 else {"head_dim"})
    exact = [check.relative for check in llama[v3] if check.verdict == "PASS"]
    assert max(exact) < 1e-13


@pytest.mark.parametrize("v3", [False, True])
def test_switches_that_max_s_llama_does_not_look_at_are_told(llama, v3):
    """MAX 26.7 computes SiLU, no bias and unscaled positions, whatever the configuration says."""
    said = [(c.tap, c.details["after"]) for c in llama[v3]
            if c.verdict == "FAIL" and UNREAD in c.message]  # fmt: skip
    assert said == [
        ("hidden_act", "gelu_pytorch_tanh"), ("rope_parameters.rope_type", "linear"),
        ("rope_parameters.rope_type", "yarn"), ("attention_bias", True), ("mlp_bias", True),
    ]  # fmt: skip
    (longrope,) = [c for c in llama[v3] if c.tap.endswith("type") and c.details["refused"]]
    assert "ends in an error that does not name it: AttributeError" in longrope.message


def test_a_message_tells_the_field_the_change_and_both_effects(llama):
    said = {(c.tap, c.details["after"]): c.message for c in llama[True]}
    assert said["rms_norm_eps", 6e-3] == (
        "changing it from 0.003 to 0.006 changes transformers' logits by 16% and the package's"
        " with them"
    )
    assert said["rope_parameters.factor", 6.0].startswith("llama3: changing it from 3 to 6")
    assert said["mlp_bias", True].startswith("`mlp_bias` is not read: changing it from False to")


def test_an_epsilon_that_some_norms_ignore_is_named_with_those_norms():
    """OLMo 2 of `max.nn` in MAX 26.7: q_norm and k_norm take 1e-6, whatever it says."""
    checks = answers("Olmo2ForCausalLM")
    said = failed(checks)["rms_norm_eps"]
    assert said.startswith(
        "`rms_norm_eps` is read, but not as transformers does: changing it from 1e-06 to 0.003"
    )
    assert said.endswith(
        "; still computed with 1e-06: layers.*.self_attn.q_norm.weight,"
        " layers.*.self_attn.k_norm.weight"
    )
    assert {tap for tap, verdict in numbers(checks).items() if verdict != "PASS"} == {
        "rms_norm_eps"
    }


def test_a_refusal_that_names_the_field_is_right():
    """OLMo 2 of `max.nn` has no biases, and names the tensors that it does not know."""
    (check,) = answers("Olmo2ForCausalLM", "attention_bias")
    assert (check.verdict, check.details["refused"]) == ("PASS", True)
    assert "is refused: ValueError" in check.message


def test_multipliers_are_followed():
    names = ("embedding_multiplier", "logits_scaling", "residual_multiplier",
             "attention_multiplier")  # fmt: skip
    assert numbers(answers("GraniteForCausalLM", *names)) == dict.fromkeys(names, "PASS")


def test_an_epsilon_that_is_fixed_is_not_read(tmp_path):
    edit = ("llama3.py", "eps=config.rms_norm_eps", "eps=1e-5")
    package = custom_package(tmp_path, v3=True, edits=[edit])
    checks = answers("LlamaForCausalLM", *FEW, v3=True, custom=[package])
    said = failed(checks)["rms_norm_eps"]
    assert said.startswith(
        "`rms_norm_eps` is not read: changing it from 1e-05 to 0.003 changes transformers' logits"
    )
    assert "still computed with 1e-05: language_model.layers.*.input_layernorm.weight" in said
    others = {tap for tap, verdict in numbers(checks).items() if verdict != "PASS"}
    assert others == {"rms_norm_eps"}


def test_a_rotary_base_that_is_ignored_is_not_read(tmp_path):
    edit = ("model_config.py", THETA, "rope_theta=10000.0,\n            rope_scaling_params=")
    package = custom_package(tmp_path, v3=True, edits=[edit])
    checks = answers("LlamaForCausalLM", *FEW, v3=True, custom=[package])
    said = failed(checks)["rope_parameters.rope_theta"]
    assert said.startswith("`rope_theta` is not read: changing it from 10000 to 700 changes")
    assert {tap for tap, verdict in numbers(checks).items() if verdict != "PASS"} == {
        "rope_parameters.rope_theta"
    }


def test_two_fields_that_are_ignored_are_both_told(tmp_path):
    edits = [
        ("llama3.py", "eps=config.rms_norm_eps", "eps=1e-5"),
        ("model_config.py", THETA, "rope_theta=10000.0,\n            rope_scaling_params="),
    ]
    package = custom_package(tmp_path, v3=True, edits=edits)
    checks = answers("LlamaForCausalLM", *FEW, v3=True, custom=[package])
    assert {tap for tap, verdict in numbers(checks).items() if verdict != "PASS"} == {
        "rms_norm_eps", "rope_parameters.rope_theta"
    }  # fmt: skip


def test_a_tied_head_that_is_forgotten_is_an_error_that_does_not_name_the_field(tmp_path):
    edit = ("model_config.py", "self.tie_word_embeddings = tie_word_embeddings",
            "self.tie_word_embeddings = False")  # fmt: skip
    package = custom_package(tmp_path, v3=True, edits=[edit])
    said = failed(answers("LlamaForCausalLM", "tie_word_embeddings", v3=True, custom=[package]))[
        "tie_word_embeddings"
    ]
    assert "from False to True ends in an error that does not name it: " in said
    assert "lm_head.weight" in said


def test_biases_that_are_dropped_are_no_field_s_fault(tmp_path):
    edit = ("model.py", "attention_bias: bool = True", "attention_bias: bool = False")
    package = custom_package(tmp_path, "qwen2", edits=[edit])
    first, *others = answers("Qwen2ForCausalLM", *FEW, custom=[package])
    assert (first.tap, first.verdict) == ("", "FAIL")
    assert "and no field accounts for it" in first.message
    assert numbers(others) == dict.fromkeys(numbers(others), "SKIP")


def test_a_kind_of_rotary_embedding_that_a_user_has_and_the_package_ignores_is_told():
    """A Llama with linear scaling, such as DeepSeek Coder, is answered without it."""
    rope = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5}
    source = transformers.LlamaConfig(rope_parameters=rope, architectures=["LlamaForCausalLM"])
    checks = answers(source, "rope_type", "rms_norm_eps")
    said = next(check for check in checks if check.tap.endswith("rope_type"))
    assert said.verdict == "FAIL"
    assert said.message.startswith("`rope_type` is not read: changing it from default to linear")
    assert numbers(checks)["rms_norm_eps"] == "PASS"


def test_a_package_that_cannot_be_opened_is_one_failure(tmp_path):
    edit = ("model_config.py", "self.norm_method = norm_method", "raise KeyError('no norm here')")
    package = custom_package(tmp_path, v3=True, edits=[edit])
    (check,) = answers("LlamaForCausalLM", v3=True, custom=[package])
    assert check.verdict == "FAIL"
    assert "cannot be opened on a tiny model: KeyError: 'no norm here'" in check.message


# ---- what could be said instead ----------------------------------------------------------------


def test_fields_are_those_that_may_be_mathematics():
    values = transformers.LlamaConfig().to_dict()
    found = {".".join(path) for path in fields(values)}
    assert {"rms_norm_eps", "rope_parameters.rope_theta", "tie_word_embeddings"} <= found
    assert not found & {"return_dict", "dtype", "id2label", "model_type"}


@pytest.mark.parametrize(
    ("name", "value", "others"),
    [
        ("rms_norm_eps", 3e-3, [6e-3]),
        ("hidden_act", "gelu_pytorch_tanh", ["silu"]),
        ("attention_bias", False, [True]),
        ("attention_dropout", 0.1, []),
        ("vocab_size", 256, []),
        ("sliding_window", None, [3]),
        ("head_dim", None, []),
        ("layer_types", ["a", "b"], [["b", "a"], ["a", "a"], ["b", "b"]]),
        ("short_factor", [1.0, 1.5], [[2.0, 3.0]]),
        ("eos_token_id", None, []),
    ],
)
def test_alternatives_follow_from_a_name_and_a_kind(name, value, others):
    assert [change.after for change in changes({name: value}, (name,))] == others


def test_half_as_many_heads_are_twice_as_large():
    values = transformers.LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=16).to_dict()
    first = next(changes(values, ("num_attention_heads",)))
    assert (first.values["num_attention_heads"], first.values["head_dim"]) == (2, 32)


def test_another_kind_of_rotary_embedding_keeps_the_base_and_brings_its_own_fields():
    values = {"rope_parameters": {"rope_type": "default", "rope_theta": 700.0}}
    kinds = {c.after: c for c in changes(values, ("rope_parameters", "rope_type"))}
    assert set(kinds) == {"linear", "dynamic", "yarn", "llama3", "longrope"}
    for kind, change in kinds.items():
        assert change.values["rope_parameters"] == rope_parameters(kind) | {"rope_theta": 700.0}
    inner = [one.field for found in rope_changes(kinds["longrope"]) for one in found]
    assert "rope_parameters.attention_factor" in inner
    assert "rope_parameters.short_factor" in inner


@pytest.mark.parametrize(
    ("path", "after", "message", "named"),
    [
        (("rope_parameters", "rope_type"), "yarn", "RoPE scaling yarn is not supported", True),
        (("rope_parameters", "rope_type"), "yarn", "no attribute 'factor'", False),
        (("attention_bias",), True, "unexpected layers.0.q_proj.bias", True),
        (("mlp_bias",), True, "unbiased", False),
        (("rms_norm_eps",), 6e-3, "rms_norm_eps must be 1e-6", True),
        (("rms_norm_eps",), 6e-3, "KeyError: 3", False),
    ],
)
def test_an_error_names_a_field_by_its_name_or_by_what_it_says(path, after, message, named):
    assert names(Change(path, None, after, {}), message) == named


def test_a_wrong_field_beside_wrong_mathematics_is_only_told_whether_it_is_read():
    """Where the base differs, following cannot be told, but not reading can."""
    truth, found = np.ones((2, 3)), np.full((2, 3), 2.0)
    change = Change(("rms_norm_eps",), 3e-3, 6e-3, {})
    base = configuration.Seen(truth, found)
    still = configuration._followed(change, base, configuration.Seen(2 * truth, found), 1.0)
    moved = configuration._followed(change, base, configuration.Seen(2 * truth, 3 * found), 1.0)
    assert (still.verdict, moved.verdict) == ("FAIL", "SKIP")


def test_operations_that_hold_a_number_are_named_by_their_weights():
    weight = SimpleNamespace(number=7)
    constant = SimpleNamespace(
        kind="mo.constant.external", operands=(), results=(weight,), blocks=(),
        attributes={"name": "layers.3.norm.weight"},
    )  # fmt: skip
    norm = SimpleNamespace(
        kind="mo.reduce.rms_norm", operands=(1, 7), results=(), blocks=(),
        attributes={"epsilon": np.float32(1e-6), "exact": {"epsilon": 1e-6}},
    )  # fmt: skip
    graph = SimpleNamespace(block=SimpleNamespace(operations=(constant, norm)))
    assert holders(graph, 1e-6) == ["layers.*.norm.weight"]
    assert holders(graph, 1e-5) == []
