"""Any form of a GPT-2 checkpoint loads as the same weights; a bad one is refused in a sentence."""

import json
import re
import socket

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file
from transformers import GPT2Config, GPT2LMHeadModel

from reference.checkpoint import CheckpointError
from reference.load import load

WTE = "transformer.wte.weight"
HEAD = "lm_head.weight"
BIAS = "transformer.h.1.mlp.c_fc.bias"


# ---- random weights ---------------------------------------------------------------------------


def test_a_seed_always_draws_the_same_weights():
    assert load("random:tiny", seed=3).sha256 == load("random:tiny", seed=3).sha256


@pytest.mark.parametrize("regime", ["given", "init", "perturbed", "stress"])
def test_another_seed_draws_other_weights(regime):
    one, other = (load(f"random:tiny:{regime}", seed=seed).weights for seed in (3, 4))
    # Every element has noise of its own, so that equal starts would show as correlation.
    correlation = np.corrcoef(one[WTE].ravel(), other[WTE].ravel())[0, 1]
    assert abs(correlation) < 0.02


def test_random_weights_are_perturbed_unless_another_regime_is_asked_for():
    assert load("random:tiny").sha256 == load("random:tiny:perturbed").sha256
    checkpoints = [load(f"random:tiny:{regime}") for regime in ("init", "perturbed", "stress")]
    assert [c.regime for c in checkpoints] == ["init", "perturbed", "stress"]
    assert len({c.sha256 for c in checkpoints}) == 3


@pytest.mark.parametrize("name", ["random:", "random:gpt5", "random:tiny:init:0", "random:TINY"])
def test_an_unknown_preset_is_answered_with_the_known_ones(name):
    assert "tiny, distilgpt2, gpt2" in refusal(name)
    assert repr(name) in refusal(name)


def test_an_unknown_regime_is_answered_with_the_known_ones():
    assert "'calm'" in refusal("random:tiny:calm")
    assert "given, init, perturbed, stress" in refusal("random:tiny:calm")


# ---- forms of one checkpoint ------------------------------------------------------------------


def test_a_folder_loads_as_it_was_written(folder, small):
    loaded = load(str(folder))
    assert loaded.config == small.config
    assert loaded.sha256 == small.sha256
    assert loaded.regime == "given"
    assert loaded.folder == folder


def test_a_home_folder_is_found_by_its_tilde(folder, small, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load("~/model").sha256 == small.sha256


def test_shards_load_as_one_file_does(folder, small):
    write_shards(folder, small.weights)
    assert not (folder / "model.safetensors").exists()
    assert load(str(folder)).sha256 == small.sha256


def test_keys_without_the_prefix_load_as_those_with_it(folder, small):
    """As in `openai-community/gpt2`, which was saved from the model without its head."""
    rewrite(folder, {k.removeprefix("transformer."): v for k, v in small.weights.items()})
    assert load(str(folder)).sha256 == small.sha256


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32, torch.float16])
@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_mask_buffers_are_skipped(folder, small, dtype, prefix):
    state = {k.removeprefix("transformer."): v for k, v in as_torch(small.weights).items()}
    for layer in range(2):
        mask = torch.ones(16, 16, dtype=dtype).tril().reshape(1, 1, 16, 16)
        state[f"h.{layer}.attn.bias"] = mask
        state[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_torch_file({prefix + k: v for k, v in state.items()}, folder / "model.safetensors")
    assert load(str(folder)).sha256 == small.sha256


def test_the_copy_of_a_tied_head_is_dropped(folder, small):
    rewrite(folder, {**small.weights, HEAD: small.weights[WTE]})
    loaded = load(str(folder))
    assert HEAD not in loaded.weights
    assert loaded.sha256 == small.sha256


def test_an_untied_head_is_kept(tmp_path, sized):
    untied = sized(tie_word_embeddings=False)
    model = torch_model(untied)
    model.save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert np.array_equal(loaded.weights[HEAD], untied.weights[HEAD])
    assert not np.array_equal(loaded.weights[HEAD], loaded.weights[WTE])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_weights_are_widened_exactly_as_torch_widens_them(folder, small, dtype):
    narrow = {name: array.to(dtype) for name, array in as_torch(small.weights).items()}
    narrow[BIAS][:4] = torch.tensor([0.0, -0.0, 6e-8, -65504.0])  # signed zero, subnormal, largest
    save_torch_file(narrow, folder / "model.safetensors")
    for name, array in load(str(folder)).weights.items():
        assert array.dtype == np.float32
        assert array.tobytes() == narrow[name].float().numpy().tobytes(), name


@pytest.mark.parametrize("max_shard_size", ["5GB", "40KB"])
def test_what_transformers_saves_is_loaded(tmp_path, small, max_shard_size):
    torch_model(small).save_pretrained(tmp_path, max_shard_size=max_shard_size)
    sharded = (tmp_path / "model.safetensors.index.json").exists()
    assert sharded == (max_shard_size == "40KB")
    loaded = load(str(tmp_path))
    assert loaded.config == small.config
    assert loaded.sha256 == small.sha256


def test_weights_may_be_changed_without_changing_the_file(folder, small):
    load(str(folder)).weights[BIAS][:] = 0
    assert load(str(folder)).sha256 == small.sha256


# ---- what is refused, each in one sentence that names the culprit -------------------------------


def test_a_file_is_no_folder(folder):
    assert "config.json is a file" in refusal(folder / "config.json")


@pytest.mark.parametrize("name", ["a/b/c", "/no/such/folder", "what?", "nul\0"])
def test_what_can_be_neither_folder_nor_id_is_refused(name):
    assert f"{name!r} is neither a folder nor a hub id" in refusal(name)


@pytest.mark.parametrize("name", [5000 * "a", "~nobody-of-that-name/model"])
def test_a_name_that_the_file_system_refuses_is_refused(name):
    assert f"{name!r} is not a folder that can be read" in refusal(name)


def test_a_folder_needs_a_config(folder):
    (folder / "config.json").unlink()
    assert f"no config.json in {folder}" in refusal(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"n_embd": 1' + 5000 * b"0" + b"}"])
def test_a_config_that_is_no_json_is_refused(folder, text):
    (folder / "config.json").write_bytes(text)
    assert "config.json cannot be read" in refusal(folder)


def test_a_config_that_nests_too_deeply_is_refused(folder):
    (folder / "config.json").write_text(100_000 * "[")
    assert "config.json cannot be read" in refusal(folder)


@pytest.mark.parametrize("value", [[], "gpt2", 12, None])
def test_a_config_that_is_no_object_is_refused(folder, value):
    (folder / "config.json").write_text(json.dumps(value))
    assert "config.json is not a JSON object" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"n_embd": 30}, "n_embd (30) must be divisible by n_head (4)"),
        ({"n_layer": 0}, "n_layer must be a positive integer, not 0"),
        ({"n_layer": "2"}, "n_layer must be a positive integer, not '2'"),
        ({"activation_function": "mish"}, "activation_function is 'mish'"),
        ({"add_cross_attention": True}, "add_cross_attention is true"),
    ],
)
def test_a_config_of_another_model_is_refused(folder, change, culprit):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert culprit in refusal(folder)


@pytest.mark.parametrize("size", ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"])
def test_a_config_without_a_size_is_refused(folder, size):
    config = json.loads((folder / "config.json").read_text())
    del config[size]
    (folder / "config.json").write_text(json.dumps(config))
    assert f"config has no {size}" in refusal(folder)


def test_a_folder_needs_weights(folder):
    (folder / "model.safetensors").unlink()
    assert f"no model.safetensors or pytorch_model.bin in {folder}" in refusal(folder)


def test_a_missing_shard_is_named(folder, small):
    write_shards(folder, small.weights)
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert "shard model-00002-of-00003.safetensors is missing" in refusal(folder)


def test_a_shard_lies_in_the_checkpoints_own_folder(folder, small):
    (folder / "inner").mkdir()
    outside = folder.parent / "model.safetensors"
    save_file(dict(small.weights), outside)
    for shard in ("../model.safetensors", str(outside), 5000 * "a"):
        write_index(folder, json.dumps({"weight_map": {WTE: shard}}))
        assert f"shard {shard} is missing" in refusal(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        "{}",
        '{"weight_map": null}',
        '{"weight_map": ["model.safetensors"]}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": 1, "b": "c"}}',
        '{"weight_map": {"a": ["b"]}}',
        pytest.param(100_000 * "[", id="deep"),
    ],
)
def test_a_broken_index_is_refused(folder, text):
    write_index(folder, text)
    assert "model.safetensors.index.json" in refusal(folder)


def test_a_weight_in_two_shards_is_refused(folder, small):
    write_shards(folder, small.weights)
    shard = folder / "model-00003-of-00003.safetensors"
    save_file({**load_file(shard), WTE: small.weights[WTE]}, shard)
    assert f"{WTE} is in more than one file" in refusal(folder)


@pytest.mark.parametrize("part", ["nothing", "length", "header", "all of the header", "data"])
@pytest.mark.parametrize("more", [0, 1, -1])
def test_a_file_that_is_cut_off_is_refused(folder, part, more):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    ends = {
        "nothing": 1,
        "length": 8,
        "header": header // 2,
        "all of the header": header,
        "data": len(whole) - 2,
    }
    file.write_bytes(whole[: ends[part] + more])
    assert "model.safetensors is damaged or cut off" in refusal(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a": 1}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_header_is_refused(folder, header):
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / "model.safetensors").write_bytes(data)
    assert "model.safetensors is damaged or cut off" in refusal(folder)


def test_a_missing_weight_is_named(folder, small):
    rewrite(folder, {name: array for name, array in small.weights.items() if name != BIAS})
    assert f"has no weight {BIAS}" in refusal(folder)


def test_an_extra_weight_is_named(folder, small):
    rewrite(folder, {**small.weights, "transformer.h.2.ln_1.bias": np.zeros(32, np.float32)})
    assert "weights that GPT-2 lacks: transformer.h.2.ln_1.bias" in refusal(folder)


def test_a_renamed_weight_is_named(folder, small):
    rewrite(folder, {k.replace("h.1.mlp", "h.1.ffn"): v for k, v in small.weights.items()})
    assert f"has no weight {BIAS}" in refusal(folder)


def test_a_weight_given_twice_is_named(folder, small):
    rewrite(folder, {**small.weights, "wte.weight": small.weights[WTE]})
    assert f"{WTE} occurs twice" in refusal(folder)


@pytest.mark.parametrize(
    "name", ["transformer.h.0.attn.c_attn.weight", "transformer.h.0.mlp.c_proj.weight"]
)
def test_a_transposed_weight_is_named_with_both_shapes(folder, small, name):
    transposed = np.ascontiguousarray(small.weights[name].T)
    rewrite(folder, {**small.weights, name: transposed})
    message = refusal(folder)
    assert f"{name} has shape {list(transposed.shape)}" in message
    assert str(list(small.weights[name].shape)) in message


@pytest.mark.parametrize(
    ("dtype", "code"),
    [(np.int32, "I32"), (np.int8, "I8: the checkpoint is quantised"), (bool, "BOOL")],
)
def test_a_weight_of_another_dtype_is_named(folder, small, dtype, code):
    rewrite(folder, {**small.weights, BIAS: small.weights[BIAS].astype(dtype)})
    assert f"{BIAS} has dtype {code}" in refusal(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(folder, small, value):
    spoilt = small.weights[BIAS].copy()
    spoilt[-1] = value
    rewrite(folder, {**small.weights, BIAS: spoilt})
    assert f"{BIAS} holds NaN or infinity" in refusal(folder)


def test_a_tied_head_that_differs_is_refused(folder, small):
    other = small.weights[WTE].copy()
    other[-1, -1] += 1
    rewrite(folder, {**small.weights, HEAD: other})
    assert f"{HEAD} differs from {WTE}" in refusal(folder)


# ---- the hub ----------------------------------------------------------------------------------

LOAD_EACH = """
import json, sys
from reference.checkpoint import CheckpointError
from reference.load import load

def outcome(name, revision):
    try:
        return load(name, revision=revision).sha256
    except CheckpointError as error:
        return f"refused: {error}"

print(json.dumps([outcome(*asked) for asked in json.loads(sys.argv[1])]))
"""


@pytest.fixture
def load_from_hub(fresh_python, tmp_path):
    """Load (id, revision) pairs in a fresh process whose cache is a folder of this test."""

    def run(endpoint, *asked, **environment):
        return fresh_python(
            LOAD_EACH,
            json.dumps(asked),
            HF_ENDPOINT=endpoint,
            HF_HOME=str(tmp_path / "hf"),
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            **environment,
        )

    return run


@pytest.fixture
def closed_endpoint():
    """An address on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_hub_id_loads_what_the_folder_holds(hub, load_from_hub, small):
    asked = [("someone/small", revision) for revision in (None, "v1", hub.commit)]
    assert load_from_hub(hub.endpoint, *asked) == [small.sha256] * 3
    assert any(path.endswith("resolve/" + hub.commit + "/config.json") for path in hub.requests)


def test_a_pinned_commit_alone_loads_too(hub, load_from_hub, small):
    assert load_from_hub(hub.endpoint, ("someone/small", hub.commit)) == [small.sha256]


def test_only_what_is_needed_is_downloaded(hub, folder, load_from_hub):
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    load_from_hub(hub.endpoint, ("someone/small", None))
    assert not [path for path in hub.requests if path.endswith(".bin")]


def test_a_repository_with_pytorchs_own_file_alone_loads_and_again_without_a_network(
    hub, folder, load_from_hub, small, closed_endpoint
):
    state = {name: torch.from_numpy(array) for name, array in small.weights.items()}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    asked = ("someone/small", None)
    assert load_from_hub(hub.endpoint, asked) == [small.sha256]
    assert load_from_hub(closed_endpoint, asked, HF_HUB_OFFLINE="1") == [small.sha256]


def test_what_was_downloaded_loads_without_a_network(hub, load_from_hub, small, closed_endpoint):
    asked = [("someone/small", None), ("someone/small", hub.commit)]
    load_from_hub(hub.endpoint, *asked)
    seen = len(hub.requests)
    assert load_from_hub(hub.endpoint, *asked, HF_HUB_OFFLINE="1") == [small.sha256] * 2
    assert len(hub.requests) == seen
    assert load_from_hub(closed_endpoint, *asked) == [small.sha256] * 2


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("someone/unknown", None),
        ("unknown", None),
        ("someone/unknown", "main"),
        ("someone/small", "no-such-branch"),
        ("someone/gated", None),
        ("someone/unauthorised", None),
        ("someone/unauthorised", 40 * "a"),
    ],
)
def test_what_the_hub_does_not_hand_out_is_refused(hub, load_from_hub, name, revision):
    asked = f"{name}@{revision}" if revision else name
    (message,) = load_from_hub(hub.endpoint, (name, revision))
    assert message == f"refused: the hub has no model {asked} that you may read"


def test_a_hub_that_breaks_down_is_not_called_a_refusal(hub, load_from_hub):
    (message,) = load_from_hub(hub.endpoint, ("someone/broken", None))
    assert "cannot be reached" in message


def test_a_hub_that_cannot_be_reached_is_one_sentence(closed_endpoint, load_from_hub, small):
    asked = [("someone/small", None), ("someone/small", 40 * "a")]
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        for (name, revision), message in zip(
            asked, load_from_hub(closed_endpoint, *asked, **environment), strict=True
        ):
            start = f"refused: {name}@{revision}" if revision else f"refused: {name}"
            assert message.startswith(
                f"{start} is not a folder here, and the Hugging Face hub cannot"
            )
            assert "\n" not in message


# ---- helpers ----------------------------------------------------------------------------------


def refusal(name):
    """The one line in which `name` is refused."""
    with pytest.raises(CheckpointError) as caught:
        load(str(name))
    message = str(caught.value)
    assert "\n" not in message
    assert "Error(" not in message  # a sentence, not an exception's repr
    assert not re.search(r"<\w+ object", message)
    return message


def rewrite(folder, weights):
    save_file(dict(weights), folder / "model.safetensors")


def write_shards(folder, weights, count=3):
    """Replace `model.safetensors` by shards and their index."""
    shard_of = {}
    for i in range(count):
        shard = f"model-{i + 1:05}-of-{count:05}.safetensors"
        names = list(weights)[i::count]
        save_file({name: weights[name] for name in names}, folder / shard)
        shard_of |= dict.fromkeys(names, shard)
    write_index(folder, json.dumps({"metadata": {}, "weight_map": shard_of}))


def write_index(folder, text):
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "model.safetensors.index.json").write_text(text)


def as_torch(weights):
    return {name: torch.from_numpy(array.copy()) for name, array in weights.items()}


def torch_model(checkpoint):
    """transformers' model with the checkpoint's weights, by transformers' own hand."""
    config = checkpoint.config
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.n_positions,
            n_embd=config.n_embd,
            n_layer=config.n_layer,
            n_head=config.n_head,
            tie_word_embeddings=config.tie_word_embeddings,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    tied = {HEAD: checkpoint.weights[WTE]} if config.tie_word_embeddings else {}
    model.load_state_dict(as_torch({**checkpoint.weights, **tied}))
    return model
