"""Every tensor of a checkpoint, followed into a package."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.verify.package.packages import custom_package, own_registry
from verify.package.opening.subject import Package
from verify.package.reading.arrivals import Arrival, Part, arrival
from verify.package.reading.checkpoint import (
    _exchanged,
    _misordered,
    checkpoint_checks,
    counterpart,
)
from verify.package.reading.drawn import draw
from verify.package.reading.numbered import Numbering, number, write_numbered

ADAPTER = "weight_adapters.py"
STORED = "new_state_dict[max_name] = value.data()"


@pytest.fixture(autouse=True)
def built_in_packages_are_back():
    with own_registry():
        yield


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    draw("LlamaForCausalLM", folder)
    return folder


def answers(folder, *, v3=False, custom=()):
    """The checks by tap."""
    checks = list(checkpoint_checks(Package(v3=v3, custom=[str(one) for one in custom]), folder))
    assert {check.mode for check in checks} == {"checkpoint"}
    return checks


def failed(checks):
    return {check.tap: check.message for check in checks if check.verdict == "FAIL"}


@pytest.mark.parametrize("v3", [False, True])
def test_llama_reads_every_tensor_once_and_fills_every_parameter(llama, v3):
    checks = answers(llama, v3=v3)
    assert Counter(check.verdict for check in checks) == {"PASS": 42}
    said = {check.tap: check.message for check in checks}
    prefix = "language_model." if v3 else ""
    own = f"{prefix}layers.1.self_attn.k_proj.weight"
    assert said[own] == "filled from model.layers.1.self_attn.k_proj.weight"
    assert said["model.layers.1.self_attn.k_proj.weight"] == f"read once, by {own}"


@pytest.mark.parametrize("v3", [False, True])
def test_a_tied_head_needs_no_tensor_of_its_own(v3, tmp_path):
    config = transformers.LlamaConfig(tie_word_embeddings=True, architectures=["LlamaForCausalLM"])
    draw(config, tmp_path)
    assert not failed(answers(tmp_path, v3=v3))
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, file, metadata={"format": "pt"})
    (head,) = [check for check in answers(tmp_path, v3=v3) if check.tap == "lm_head.weight"][-1:]
    assert head.verdict == "PASS"


def test_a_leftover_of_an_old_checkpoint_is_skipped_and_any_other_tensor_is_not(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "old")
    file = folder / "model.safetensors"
    more = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.rand(8),
            "model.layers.0.mlp.extra.weight": torch.rand(3, 5)}  # fmt: skip
    save_file(load_file(file) | more, file, metadata={"format": "pt"})
    checks = answers(folder)
    assert failed(checks) == {"model.layers.0.mlp.extra.weight": "nothing reads it"}
    (skipped,) = [check for check in checks if check.verdict == "SKIP"]
    assert skipped.tap.endswith("inv_freq")
    assert "computed from the configuration" in skipped.message


def test_keys_and_values_that_change_places_are_named(llama, tmp_path):
    swap = '.replace("k_proj", "x").replace("v_proj", "k_proj").replace("x", "v_proj")'
    edit = (ADAPTER, STORED, STORED.replace("max_name", f"max_name{swap}"))
    package = custom_package(tmp_path, v3=True, edits=[edit])
    wrong = failed(answers(llama, v3=True, custom=[package]))
    assert {name.split(".")[-2] for name in wrong} == {"k_proj", "v_proj"}
    own = "language_model.layers.0.self_attn"
    assert wrong[f"{own}.k_proj.weight"] == (
        "filled from model.layers.0.self_attn.v_proj.weight, though there is"
        f" model.layers.0.self_attn.k_proj.weight, which is in {own}.v_proj.weight"
    )


def test_a_name_that_a_package_has_for_something_else_is_no_fault():
    """`post_norm` holds `pre_norm`'s tensor, and nothing of the package is called `pre_norm`."""
    tensors = ["model.post_norm.weight", "model.pre_norm.weight", "model.last.weight"]
    holds = {"post_norm.weight": tensors[1], "last.weight": tensors[0], "final.weight": tensors[2]}
    arrivals = [Arrival(name, np.array([0]), (Part(tensor, "in order", True),), "", False)
                for name, tensor in holds.items()]  # fmt: skip
    assert not list(_exchanged(arrivals, tensors))
    circle = [replace(arrivals[0], name="pre_norm.weight", parts=arrivals[1].parts), arrivals[0]]
    assert {name for name, _ in _exchanged(circle, tensors)} == {
        "pre_norm.weight", "post_norm.weight"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tensors", "said"),
    [("qkv", ""), ("kqv", ", in another order than qkv_proj says"), ("qk", ""), ("qkw", "")],
)
def test_a_fused_parameter_in_another_order_than_its_name_is_named(tensors, said):
    parts = tuple(Part(f"model.layers.0.{one}_proj.weight", "in order", True) for one in tensors)
    one = Arrival("layers.0.qkv_proj.weight", np.array([0]), parts, "", False)
    assert _misordered(one) == said


@pytest.mark.parametrize("v3", [False, True])
def test_a_weight_that_is_scaled_is_named_with_its_factor(llama, v3, tmp_path):
    scaled = (
        "data = value.data()\n"
        "        if 'layers.1.self_attn.o_proj' in max_name:\n"
        "            import numpy\n"
        "            array = 2 * numpy.from_dlpack(data.data)\n"
        "            data = WeightData.from_numpy(array, max_name)\n"
        "        new_state_dict[max_name] = data"
    )
    package = custom_package(tmp_path, v3=v3, edits=[(ADAPTER, STORED, scaled)])
    wrong = failed(answers(llama, v3=v3, custom=[package]))
    ((name, said),) = wrong.items()
    assert name.endswith("layers.1.self_attn.o_proj.weight")
    assert said.endswith("they are model.layers.1.self_attn.o_proj.weight times 2")


def test_a_head_that_is_tied_against_the_configuration_leaves_a_tensor_unread(llama, tmp_path):
    edit = ("model_config.py", "self.tie_word_embeddings = tie_word_embeddings",
            "self.tie_word_embeddings = True")  # fmt: skip
    package = custom_package(tmp_path, v3=True, edits=[edit])
    wrong = failed(answers(llama, v3=True, custom=[package]))
    assert wrong == {"lm_head.weight": "nothing reads it"}


def test_a_tied_head_that_is_forgotten_has_nothing_to_be_filled_from(tmp_path):
    config = transformers.LlamaConfig(tie_word_embeddings=True, architectures=["LlamaForCausalLM"])
    draw(config, tmp_path / "tied")
    edit = ("model_config.py", "self.tie_word_embeddings = tie_word_embeddings",
            "self.tie_word_embeddings = False")  # fmt: skip
    package = custom_package(tmp_path, v3=True, edits=[edit])
    (said,) = failed(answers(tmp_path / "tied", v3=True, custom=[package])).values()
    assert "lm_head.weight" in said


def test_biases_that_are_dropped_are_tensors_that_nothing_reads(tmp_path):
    draw("Qwen2ForCausalLM", tmp_path / "qwen2")
    edit = ("model.py", "attention_bias: bool = True", "attention_bias: bool = False")
    package = custom_package(tmp_path, "qwen2", edits=[edit])
    assert not failed(answers(tmp_path / "qwen2"))
    wrong = failed(answers(tmp_path / "qwen2", custom=[package]))
    assert len(wrong) == 6
    assert set(wrong.values()) == {"nothing reads it"}
    assert all(name.endswith("_proj.bias") for name in wrong)


@pytest.mark.parametrize("v3", [False, True])
def test_a_checkpoint_in_bfloat16_is_followed_like_any_other(llama, v3, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "narrow")
    file = folder / "model.safetensors"
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    assert number(folder).passes == 3
    checks = answers(folder, v3=v3)
    assert Counter(check.verdict for check in checks) == {"PASS": 42}


# ---- what is told of an arrangement ------------------------------------------------------------

NUMBERING = Numbering(
    names=("a.q_proj.weight", "a.v_proj.weight"), shapes=((4, 6), (2, 6)), firsts=(0, 24, 36),
    base=2**24, others=(),
)  # fmt: skip
GENERATOR = np.random.default_rng(0)
VALUES = {
    name: GENERATOR.normal(size=size) for name, size in zip(NUMBERING.names, (24, 12), strict=True)
}
FLAT = np.concatenate(list(VALUES.values()))


def told(numbers):
    """What arrived, when a parameter consists of these elements."""
    held = np.where(numbers >= 0, FLAT[numbers], 0.0)
    return arrival("p", NUMBERING, [numbers.astype(float)], held, VALUES)


A = np.arange(24).reshape(4, 6)
B = np.arange(24, 36).reshape(2, 6)


@pytest.mark.parametrize(
    ("numbers", "whence"),
    [
        (A, "a.q_proj.weight"),
        (A.T, "a.q_proj.weight (transposed)"),
        (A[::-1], "a.q_proj.weight (its rows in another order)"),
        (A[:, ::-1], "a.q_proj.weight (its elements in another order)"),
        (A[1:3], "a.q_proj.weight (its rows 1 to 2, of 4)"),
        (A[0, :4], "a.q_proj.weight (its elements 0 to 3, of 24)"),
        (A[:, ::2], "a.q_proj.weight (12 of its 24 elements)"),
        (np.concatenate([A, A]), "a.q_proj.weight (24 of its 24 elements, some more than once)"),
        (np.concatenate([B, A]), "a.v_proj.weight, then a.q_proj.weight"),
        (np.concatenate([A.T, B.T], axis=1), None),
    ],
)
def test_an_arrangement_is_told(numbers, whence):
    found = told(numbers)
    assert not found.computed
    if whence is None:
        assert found.whence == "a.q_proj.weight (transposed), then a.v_proj.weight (transposed)"
    else:
        assert found.whence == whence


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        (lambda x: 0.25 * x, "they are a.q_proj.weight times 0.25"),
        (lambda x: x + 1, "they are a.q_proj.weight plus 1"),
        (lambda x: 1 - 3 * x, "they are a.q_proj.weight times -3 plus 1"),
        (np.exp, "they were computed"),
    ],
)
def test_what_was_computed_is_told_where_it_is_a_factor_and_an_offset(compute, said):
    found = arrival(
        "a.q_proj.weight", NUMBERING, [compute(A.astype(float))],
        compute(VALUES["a.q_proj.weight"].reshape(4, 6)), VALUES,
    )  # fmt: skip
    assert found.computed.endswith(said)


def test_a_transposed_weight_that_is_scaled_is_told():
    held = 2 * VALUES["a.q_proj.weight"].reshape(4, 6).T
    found = arrival("x", NUMBERING, [2.0 * A.T], held, VALUES)
    assert found.computed.endswith("they are a.q_proj.weight times 2")


def test_what_no_checkpoint_changes_is_constant():
    held = np.ones((2, 2))
    assert arrival("x", NUMBERING, [held], held, VALUES).constant


@pytest.mark.parametrize(
    ("parameter", "tensor"),
    [
        ("layers.1.k_proj.weight", "model.layers.1.k_proj.weight"),
        ("layers.7.k_proj.weight", None),
        ("layers.1.qkv_proj.weight", None),
        ("norm.weight", "model.norm.weight"),
    ],
)
def test_a_parameter_is_named_after_the_tensor_whose_name_ends_like_its_own(parameter, tensor):
    tensors = [f"model.layers.{n}.{m}_proj.weight" for n in (0, 1) for m in "kv"]
    assert counterpart(parameter, [*tensors, "model.norm.weight"]) == tensor


def test_a_numbered_copy_has_the_same_files_names_shapes_and_dtypes(llama, tmp_path):
    write_numbered(llama, number(llama), 0, tmp_path / "copy")
    assert {f.name for f in llama.iterdir()} == {f.name for f in (tmp_path / "copy").iterdir()}
    before, after = (load_file(f / "model.safetensors") for f in (llama, tmp_path / "copy"))
    assert {n: (t.shape, t.dtype) for n, t in before.items()} == {
        n: (t.shape, t.dtype) for n, t in after.items()
    }
    everything = torch.cat([after[name].ravel() for name in sorted(after)])
    assert torch.equal(everything, torch.arange(everything.numel()).float())
