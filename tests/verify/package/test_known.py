"""MAX's built-in packages beside transformers, both in float64: a prefill and decode steps.

What differs is a defect of MAX 26.7 or a configuration that it reads otherwise. Each is pinned
beside a checkpoint on which nothing else differs, so that its cause is the one named.
"""

import numpy as np
import pytest

from reference.decoder import in_float64, load_decoder
from tests.verify.package.checkpoints import TINY
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.opened import open_package, request

LENGTHS = (36, 131, 1)
"""Tokens of requests: within a page of 128, over its end, and a single one."""

STEPS = 2

RIGHT = [
    ("llama3", "v2"), ("llama3", "v3"), ("llama3 scaled", "v2"), ("llama3 scaled", "v3"),
    ("olmo", "v2"), ("olmo", "v3"), ("olmo2", "v3"), ("olmo2 usual", "v2"),
    ("granite", "v2"), ("granite", "v3"), ("phi3", "v2"), ("phi3", "v3"),
    ("qwen2", "v2"), ("qwen3 usual", "v2"), ("mistral", "v2"), ("olmo3", "v2"),
    ("gemma3 usual", "v2"), ("gpt_oss truncated", "v3"), ("llama4", "v2"), ("qwen3_moe", "v2"),
]  # fmt: skip

WRONG = {
    ("olmo2", "v2"): "q_norm and k_norm take an epsilon of 1e-6 whatever rms_norm_eps says",
    ("qwen3", "v2"): "q_norm and k_norm take an epsilon of 1e-6 whatever rms_norm_eps says",
    ("gemma3", "v2"): "scores are divided by sqrt(head_dim), not sqrt(query_pre_attn_scalar)",
    ("gpt_oss", "v3"): "YaRN's range is truncated to integers whatever `truncate` says",
    ("phi3 partial", "v2"): "all features are rotated whatever partial_rotary_factor says",
    ("phi3 partial", "v3"): "all features are rotated whatever partial_rotary_factor says",
    ("phi3 window", "v2"): "sliding_window is not read",
    ("phi3 window", "v3"): "sliding_window is not read",
    ("mistral window", "v2"): "sliding_window is not read",
}

LAST_ONLY = {"mistral", "mistral window", "olmo3", "gpt_oss", "gpt_oss truncated"}
"""Packages that give the logits of each request's last token alone."""


def difference(folder, name, version):
    """The largest difference of the logits, of a prefill and of each decode step."""
    echo = name not in LAST_ONLY
    rng = np.random.default_rng(0)
    ids = rng.integers(2, 256, (len(LENGTHS), max(LENGTHS) + STEPS + 1))
    truth = [
        logits_of(folder, row[None, : length + STEPS])
        for row, length in zip(ids, LENGTHS, strict=True)
    ]
    with evaluating(places=False) as engine:
        opened = open_package(folder, v3=version == "v3", encoding=TINY[name].dtype, echo=echo)
        found = passes(engine, opened, ids)
    return [
        float(np.abs(logits - wanted(truth, step, echo)).max()) for step, logits in enumerate(found)
    ]


_REFERENCES = {}


def logits_of(folder, ids):
    if folder not in _REFERENCES:
        model = load_decoder(str(folder))
        model.config._experts_implementation = "eager"  # grouped products are not there in float64
        _REFERENCES[folder] = in_float64(model)
    return _REFERENCES[folder].logits(ids)[0]


def wanted(truth, step, echo):
    """The logits that a pass should give, of all requests one after the other."""
    if echo and not step:
        return np.concatenate(
            [logits[:length] for logits, length in zip(truth, LENGTHS, strict=True)]
        )
    return np.stack(
        [logits[length - 1 + step] for logits, length in zip(truth, LENGTHS, strict=True)]
    )


def passes(engine, opened, ids):
    """The logits of a prefill of all requests, and of each decode step."""
    requests = [request(row[:length], 512) for row, length in zip(ids, LENGTHS, strict=True)]
    for one in requests:
        opened.cache.claim(one)
    found = []
    for step in range(STEPS + 1):
        for one in requests:
            opened.cache.alloc(one)
        held = opened.cache.runtime_inputs([requests])
        inputs = opened.model.prepare_initial_token_inputs(
            replica_batches=[requests], kv_cache_inputs=held
        )
        found.append(engine.result(opened.model.execute(inputs).logits))
        for one, row, length in zip(requests, ids, LENGTHS, strict=True):
            one.update(int(row[length + step]))
    return found


@pytest.mark.parametrize(("name", "version"), RIGHT)
def test_it_is_the_model_of_transformers(checkpoint, name, version):
    assert max(difference(checkpoint(name), name, version)) <= 1e-12


@pytest.mark.parametrize(("name", "version"), WRONG, ids=lambda value: value)
def test_what_max_reads_otherwise_shows(checkpoint, name, version):
    """A version of MAX that mends it fails here: move its case to RIGHT."""
    assert max(difference(checkpoint(name), name, version)) >= 1e-5


def test_a_state_that_a_package_rounds_itself_is_all_that_differs(checkpoint):
    """LFM2 takes the states of its convolutions through NumPy, in float32."""
    first, *later = difference(checkpoint("lfm2"), "lfm2", "v2")
    assert first <= 1e-12
    assert max(later) <= 1e-7
