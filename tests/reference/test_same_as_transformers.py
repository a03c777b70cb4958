"""transformers is the referee: a folder that loads here computes what transformers computes."""

import json
import shutil
import warnings

import numpy as np
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers.activations import ACT2CLS

from impl.config import ACTIVATIONS
from reference.checkpoint import CheckpointError
from reference.load import load
from reference.oracle import Oracle

ONLY_HERE = ("n_ctx", "module.")
"""What loads here and not there: positions named n_ctx alone, and a wrapper before each name."""

REFUSED = ("string", "cross")
"""Changes with which nobody computes: an epsilon that is a string, and attention to an encoder."""

FLAGS = ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings",
         "reorder_and_upcast_attn")  # fmt: skip
OTHER_NAMES = {
    "n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
}  # fmt: skip


@st.composite
def configs(draw):
    """Every field of GPT2Config that changes what is computed, and some that do not."""
    heads, size = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    config = {
        "model_type": "gpt2",
        "vocab_size": draw(st.integers(4, 40)),
        "n_positions": draw(st.integers(3, 9)),
        "n_embd": heads * size,
        "n_head": heads,
        "n_layer": draw(st.integers(1, 3)),
        "n_inner": draw(st.sampled_from([None, 1, 7])),
        "activation_function": draw(st.sampled_from([*ACTIVATIONS, *sorted(ACT2CLS)])),
        "layer_norm_epsilon": draw(st.sampled_from([1e-5, 1e-6, 1e-12, 0.1])),
        "attn_pdrop": draw(st.sampled_from([0.0, 0.5])),
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return config | {name: draw(st.booleans()) for name in FLAGS}


def written(folder, config, draw):
    """A folder as people have them: sizes under other names, files and names of other forms."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(draw(st.integers(0, 999)))
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    dtype = draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
    model.to(dtype).save_pretrained(folder)
    values = dict(config)
    for ours, theirs in OTHER_NAMES.items():
        if draw(st.integers(0, 5)) == 0:
            values[theirs] = values.pop(ours)
    change = draw(st.sampled_from(["", "", "", "string", "cross", "n_ctx"]))
    if change == "string":
        values["layer_norm_epsilon"] = str(values["layer_norm_epsilon"])
    if change == "cross":
        values["add_cross_attention"] = True
    if change == "n_ctx":
        values["n_ctx"] = values.pop("n_positions", None) or values.pop("max_position_embeddings")
    (folder / "config.json").write_text(json.dumps(values))
    form = draw(st.sampled_from(["", "", "no prefix", "module.", "buffers", "bin"]))
    state = load_file(folder / "model.safetensors")
    if form == "no prefix":
        state = {name.removeprefix("transformer."): t for name, t in state.items()}
    if form == "module.":
        state = {form + name: tensor for name, tensor in state.items()}
    if form == "buffers":
        state["transformer.h.0.attn.bias"] = torch.ones(1, 1, 3, 3, dtype=torch.bool)
        state["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    if form == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(state, folder / "pytorch_model.bin")
    return form, change


def theirs_of(folder, ids, dtype):
    """transformers' logits, or why it does not load the folder as it is."""
    try:
        model, told = transformers.GPT2LMHeadModel.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
    except Exception as error:  # it raises whatever goes wrong inside
        return None, f"{type(error).__name__}: {error}"
    if told["missing_keys"] or told["mismatched_keys"]:
        return None, f"missing {sorted(told['missing_keys'])[:2]}"
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(ids)).logits.numpy(), ""


def loaded(folder):
    """The checkpoint, or why it is refused."""
    try:
        return load(str(folder)), ""
    except CheckpointError as refusal:
        return None, str(refusal)


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(config=configs(), data=st.data())
def test_what_loads_computes_what_transformers_computes(tmp_path, config, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            form, change = written(tmp_path / "model", config, data.draw)
        except Exception:  # transformers does not make such a model
            return
        ids = np.arange(6).reshape(2, 3) % config["vocab_size"]
        # reorder_and_upcast_attn wants float32: it computes its scores in it, and nothing else.
        dtype, rounding = torch.float64, 1e-11
        if config["reorder_and_upcast_attn"]:
            dtype, rounding = torch.float32, 1e-5
        theirs, why = theirs_of(tmp_path / "model", ids, dtype)
    read, refusal = loaded(tmp_path / "model")
    if read is None:
        known = config["activation_function"] in ACTIVATIONS
        assert not known or change in REFUSED, f"refused, though it is computed here: {refusal}"
        return
    if theirs is None:
        assert form in ONLY_HERE or change in ONLY_HERE, f"loaded, though there it is not: {why}"
        return
    ours = Oracle(read).trace(ids)["lm_head"]
    assert np.abs(ours - theirs).max() <= rounding * max(1.0, np.abs(theirs).max())
