"""CTranslate2 on the CPU, with a model written through its own specification classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from bench.arms.base import Arm
from bench.arms.caches import converted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from impl.config import GPT2Config
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]


class CTranslate2(Arm):
    """A `Generator` in float32; it tells each token through a callback."""

    compiles: ClassVar[bool] = True
    dtype: ClassVar[str] = "float32"

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        self._checkpoint, self._config, self._threads = checkpoint, checkpoint.config, threads
        self._tokens = vocabulary(self._config.vocab_size)
        self.runtime = f"ctranslate2 {ctranslate2.__version__}"

    def compile(self, workloads: Sequence[Workload]) -> None:  # noqa: ARG002 - one model for all
        """Convert where that was not done before, and load."""
        folder, self.cache = converted(
            self._checkpoint, f"ctranslate2-{ctranslate2.__version__}-{self.dtype}",
            [Path(__file__)], lambda to: _spec(self._checkpoint, self.dtype).save(str(to)),
        )  # fmt: skip
        self.weight_bytes = (folder / "model.bin").stat().st_size
        self._generator = ctranslate2.Generator(
            str(folder), compute_type=self.dtype, intra_threads=self._threads, inter_threads=1
        )

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`; it computes all of them always."""
        found: Array = np.array(self._generator.forward_batch(ids.tolist()))
        return found if logits == "all" else found[:, -1:]

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        last_row = len(ids) - 1

        def told(step: Any) -> bool:
            if step.batch_id == last_row:
                stamp()
            return False  # go on

        results = self._generator.generate_batch(
            [[self._tokens[token] for token in row] for row in ids],
            beam_size=1, max_length=n_new, min_length=n_new, end_token=[],
            include_prompt_in_result=False, callback=told,
        )  # fmt: skip
        return np.array([result.sequences_ids[0] for result in results], np.int64)


class CTranslate2Int8(CTranslate2):
    """The same with linear layers and embeddings in 8 bits, and a scale for each output.

    The inputs of linear layers are rounded to 8 bits as they come, each position by its own scale.
    """

    dtype: ClassVar[str] = "int8"


def vocabulary(size: int) -> list[str]:
    """A name for each id; what they stand for does not matter."""
    return [f"<{index}>" for index in range(size)]


def _spec(checkpoint: Checkpoint, dtype: str) -> Any:
    """The checkpoint as CTranslate2 describes a decoder, its weights in a dtype of its own."""
    config, weights = checkpoint.config, checkpoint.weights
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config.n_layer, config.n_head, pre_norm=True, activation=ACTIVATIONS[config.activation]
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = weights["transformer.wte.weight"]
    decoder.position_encodings.encodings = weights["transformer.wpe.weight"]
    decoder.projection.weight = weights.get("lm_head.weight", weights["transformer.wte.weight"])
    _norm(decoder.layer_norm, weights, "transformer.ln_f")
    for index, layer in enumerate(decoder.layer):
        name = f"transformer.h.{index}"
        _norm(layer.self_attention.layer_norm, weights, f"{name}.ln_1")
        fused = layer.self_attention.linear[0]
        _linear(fused, weights, f"{name}.attn.c_attn")
        _scale_queries(fused, config, index)
        _linear(layer.self_attention.linear[1], weights, f"{name}.attn.c_proj")
        _norm(layer.ffn.layer_norm, weights, f"{name}.ln_2")
        _linear(layer.ffn.linear_0, weights, f"{name}.mlp.c_fc")
        _linear(layer.ffn.linear_1, weights, f"{name}.mlp.c_proj")
    tokens = vocabulary(config.vocab_size)
    spec.register_vocabulary(tokens)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = tokens[0]
    spec.config.layer_norm_epsilon = config.layer_norm_epsilon
    spec.validate()
    spec.optimize(quantization=dtype)
    return spec


ACTIVATIONS = {
    "gelu_tanh": common_spec.Activation.GELUTanh,
    "gelu_fast": common_spec.Activation.GELUTanh,
    "gelu": common_spec.Activation.GELU,
    "gelu_quick": common_spec.Activation.GELUSigmoid,
    "relu": common_spec.Activation.RELU,
    "silu": common_spec.Activation.SWISH,
    "tanh": common_spec.Activation.Tanh,
}
"""CTranslate2's names of `impl.config.ACTIVATIONS`."""


def _scale_queries(fused: Any, config: GPT2Config, layer: int) -> None:
    """CTranslate2 divides scores by sqrt(head_dim); what else there is goes into the queries."""
    factor = np.float32(math.sqrt(config.head_dim) / config.attention_divisor(layer))
    if factor != 1:
        fused.weight[: config.n_embd] *= factor
        fused.bias = fused.bias.copy()
        fused.bias[: config.n_embd] *= factor


def _norm(spec: Any, weights: Any, name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _linear(spec: Any, weights: Any, name: str) -> None:
    spec.weight = np.ascontiguousarray(weights[f"{name}.weight"].T)  # [out, in]
    spec.bias = weights[f"{name}.bias"]
