from pathlib import Path

import numpy as np
import pytest
from max.dtype import DType

from impl.config import GPT2Config
from impl.weights import from_hugging_face
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError, compiling
from verify.pairing.counterpart import Counterpart, PairingError
from verify.pairing.file import collapsed, from_toml, to_toml
from verify.pairing.outline import gpt2_outline
from verify.pairing.parameters import propose
from verify.pairing.prepare import NamedCandidate

FOLDER = Path(__file__).parents[1] / "models"
CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
CHECKPOINT = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
REFERENCE = gpt2_outline(CHECKPOINT)
BLOCK = "transformer.h.1"


def outline(spec):
    factory = load_factory(spec if spec.startswith("impl") else f"{FOLDER}/{spec}")
    return NamedCandidate(name=spec, factory=factory).built(CONFIG, "cpu", DType.float32).outline()


def pairing(spec, corrections=None):
    return propose(outline(spec), REFERENCE, corrections)


def test_impls_model_is_paired_by_path_and_its_weights_are_laid_out_as_impl_does():
    found = pairing("impl.model:GPT2LMHeadModel")
    assert found.by_path
    expected = from_hugging_face(CONFIG, CHECKPOINT.weights)
    laid_out = {n: c.take(CHECKPOINT.weights, 2) for n, c in found.weights.items()}
    assert laid_out.keys() == expected.keys()
    assert all(np.array_equal(laid_out[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("spec", "parameter", "counterpart"),
    [
        ("own_names.py:MyGPT", "layers.1.feed_forward.up.weight", f"{BLOCK}.mlp.c_fc.weight t"),
        ("own_names.py:MyGPT", "layers.1.norm2.bias", f"{BLOCK}.ln_2.bias"),
        ("split_qkv.py:ForCausalLM", "model.layers.1.self_attn.k_proj.bias",
         f"{BLOCK}.attn.c_attn.bias [key]"),
        ("split_qkv.py:ForCausalLM", "lm_head.weight", "transformer.wte.weight"),
        ("list_of_blocks.py:GPT", "blocks.1.attn_out.weight", f"{BLOCK}.attn.c_proj.weight"),
        ("sequential.py:gpt", "2.1.inner.1.2.weight", f"{BLOCK}.mlp.c_proj.weight t"),
        ("sequential.py:gpt", "2.0.inner.0.weight", f"{BLOCK}.ln_1.weight"),
        ("functional_style.py:GPT", "layers.1.attn.qkv.w", f"{BLOCK}.attn.c_attn.weight"),
        ("stacked.py:Stacked", "up", "transformer.h.*.mlp.c_fc.weight"),
        ("no_blocks.py:Flat", "norms_1.1.weight", f"{BLOCK}.ln_1.weight"),
        ("no_blocks.py:Flat", "norms_2.1.bias", f"{BLOCK}.ln_2.bias"),
    ],
)  # fmt: skip
def test_a_parameter_finds_its_counterpart(spec, parameter, counterpart):
    found = pairing(spec)
    assert found.unheld == ()
    assert str(found.weights[parameter]) == counterpart.replace(" t", " transposed")


def test_a_square_matrix_is_turned_as_its_class_turns_the_others():
    found = pairing("split_qkv.py:ForCausalLM")
    assert found.weights["model.layers.0.self_attn.o_proj.weight"].transposed
    assert not pairing("list_of_blocks.py:GPT").weights["blocks.0.attn_out.weight"].transposed


def test_names_that_say_nothing_are_left_to_be_tried():
    (alternatives,) = pairing("stacked.py:Stacked").doubts
    orders = {tuple(choice[name].part for name in "abc") for choice in alternatives}
    assert len(orders) == 6


def test_modules_follow_from_their_parameters_and_wrappers_are_listed():
    found = pairing("sequential.py:gpt")
    places = {name: str(counterpart) for name, counterpart in found.places.items()}
    assert places["2"] == BLOCK
    assert places["2.1.inner.1.1"] == f"{BLOCK}.mlp.act"
    assert found.loose["2.0"] == "the reference has no such place"


def test_a_shared_activation_is_a_place_in_every_block():
    places = pairing("list_of_blocks.py:GPT").places
    assert str(places["blocks.0.act"]) == "transformer.h.0.mlp.act"
    assert str(places["blocks.0.act#2"]) == f"{BLOCK}.mlp.act"


def test_a_parameter_that_the_candidate_lacks_is_named():
    assert pairing("faults.py:no_bias").unheld == (
        "transformer.h.0.attn.c_attn.bias",
        "transformer.h.1.attn.c_attn.bias",
    )


@pytest.mark.parametrize(
    "spec", ["own_names.py:MyGPT", "split_qkv.py:ForCausalLM", "sequential.py:gpt"]
)
def test_a_pairing_survives_its_file(spec, tmp_path):
    first = pairing(spec)
    file = tmp_path / "pairing.toml"
    file.write_text(to_toml(first, spec))
    again = pairing(spec, from_toml(file, CONFIG.n_layer))
    assert to_toml(again, spec) == to_toml(first, spec)
    assert {c.why for c in again.weights.values()} == {"file"}


def test_a_file_corrects_single_entries_for_every_block(tmp_path):
    file = tmp_path / "pairing.toml"
    file.write_text(
        '[weights]\n"{layer+1}.0.inner.0.weight" = "transformer.h.{layer}.ln_2.weight"\n'
    )
    found = pairing("sequential.py:gpt", from_toml(file, 2))
    assert str(found.weights["2.0.inner.0.weight"]) == f"{BLOCK}.ln_2.weight"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[weights", "is not TOML"),
        ("[other]\n", r"has a table \[other\]"),
        ('[weights]\n"a" = 3\n', "must be given a string"),
        ('[weights]\n"a" = "b [third]"\n', "which is not of the form"),
        ('[weights]\n"nothing" = "transformer.wte.weight"\n', "has no parameter nothing"),
        ('[weights]\n"final_norm.bias" = "transformer.ln_g.bias"\n', "no parameter transformer.ln"),
        ('[weights]\n"final_norm.bias" = "transformer.wte.weight"\n', r"has shape \[32\]"),
        ('[places]\n"nothing" = "transformer.ln_f"\n', "calls no module nothing"),
        ('[places]\n"final_norm" = "transformer.ln_g"\n', "has no place transformer.ln_g"),
    ],
)
def test_a_wrong_pairing_file_is_one_sentence(text, message, tmp_path):
    file = tmp_path / "pairing.toml"
    file.write_text(text)
    with pytest.raises(PairingError, match=message):
        pairing("own_names.py:MyGPT", from_toml(file, 2))


def test_entries_that_differ_in_the_block_alone_are_written_as_one():
    entries = {f"{i + 1}.w": f"transformer.h.{i}.ln_1.weight" for i in range(3)}
    assert collapsed(entries) == {"{layer+1}.w": "transformer.h.{layer}.ln_1.weight"}


def test_a_third_of_a_weight_is_taken_transposed():
    weight = np.arange(12.0).reshape(2, 6)
    taken = Counterpart("w", "key", transposed=True).take({"w": weight}, 1)
    assert np.array_equal(taken, weight[:, 2:4].T)
    assert taken.flags.c_contiguous


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make(config):\n    return [1]", "returns a list: no module of max.experimental.nn"),
        ("def make(config):\n    return config.size", "raises AttributeError"),
        ("def make(config):\n    raise SystemExit(3)", r"calls sys.exit\(3\)"),
        ("def make(config):\n    return make(config)", "calls itself without end"),
        (("class make(Module):\n    def __init__(self, c): pass\n"
         "    def forward(self, ids): return ids, ids"), r"returns a tuple of 2 \(\[batch, "),
        (("class make(Module):\n    def __init__(self, c): pass\n"
         "    def forward(self, ids): return None"), "forward returns None, not one tensor"),
        (("class make(Module):\n    def __init__(self, c): pass\n"
         "    def forward(self, ids): return ids"), r"returns shape \[3, 5\]"),
    ],
)  # fmt: skip
def test_wrong_code_is_one_sentence(body, message, tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(f"from max.experimental.nn import Module\n\n{body}\n")
    subject = NamedCandidate(name="make", factory=load_factory(f"{file}:make"))
    with pytest.raises(CandidateError, match=message):
        subject.built(CONFIG, "cpu", DType.float32).examined((3, 5, 67))


def test_hidden_states_are_recognised():
    subject = NamedCandidate(name="B", factory=load_factory(f"{FOLDER}/hidden_states.py:Backbone"))
    with pytest.raises(CandidateError, match="--output hidden"):
        subject.built(CONFIG, "cpu", DType.float32).examined((3, 5, 67))


def test_what_a_candidate_raises_comes_with_its_own_last_frames(tmp_path):
    file = tmp_path / "deep.py"
    file.write_text("def inner(c):\n    return c['x']\n\n\ndef make(c):\n    return inner(c)\n")
    subject = NamedCandidate(name="make", factory=load_factory(f"{file}:make"))
    with pytest.raises(CandidateError) as caught:
        subject.built(CONFIG, "cpu", DType.float32)
    assert caught.value.__notes__ == [
        "  deep.py:6 in make: return inner(c)",
        "  deep.py:2 in inner: return c['x']",
    ]


def test_what_the_compiler_says_is_a_sentence():
    def fail():
        try:
            raise RuntimeError("Graph compilation failed:\nerror: no such kernel\nnote: see here")
        except RuntimeError as error:
            raise RuntimeError("Failed to compile the model. Please file an issue") from error

    message = r"MAX cannot compile Mine: error: no such kernel$"
    with pytest.raises(CandidateError, match=message), compiling("Mine"):
        fail()
