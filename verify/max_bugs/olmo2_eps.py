"""MAX's own OLMo 2 (`max.nn`) normalises queries and keys with an epsilon of 1e-6, always.

    q_norm(x) = x / sqrt(mean(x^2) + eps) * weight,    eps of config.json: `rms_norm_eps`

`olmo2/olmo2.py` makes its attention without the epsilon, and `Olmo2Attention` takes its default.
The other norms follow the configuration, and so do those of the same model in
`max.experimental.nn` (`Olmo2ForCausalLM_ModuleV3`). Published checkpoints have 1e-6, where nothing
shows; a model that was trained with another epsilon is served wrong.

Seen with MAX 26.7.0.

    python verify/max_bugs/olmo2_eps.py

builds a tiny OLMo 2 whose configuration asks for 1e-2, compiles its first q_norm, prints what comes
out beside the formula, and exits with 1 while the bug is there, with 0 once it is gone.
"""

import importlib.metadata
import sys
import tempfile

import numpy as np
import torch
import transformers
from max.driver import CPU, Buffer, DeviceSpec
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Graph, TensorType
from max.graph.weights import WeightsFormat, load_weights
from max.nn.transformer import ReturnLogits
from max.pipelines import PIPELINE_REGISTRY
from max.pipelines.architectures.olmo2.model_config import Olmo2Config
from max.pipelines.architectures.olmo2.olmo2 import Olmo2
from max.pipelines.lib import PipelineArgs, PipelineConfig
from max.pipelines.lib.utils import parse_state_dict_from_weights
from max.pipelines.modeling.types import PipelineTask

EPS = 1e-2
FEATURES = 64
TOLERANCE = 1e-5
"""Of float32; the bug's error is 0.4."""


def built() -> Olmo2:
    """MAX's OLMo 2 of a configuration whose `rms_norm_eps` is `EPS`."""
    config = transformers.Olmo2Config(
        vocab_size=64, hidden_size=FEATURES, intermediate_size=96, num_hidden_layers=1,
        num_attention_heads=4, max_position_embeddings=128, rms_norm_eps=EPS,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        transformers.utils.logging.disable_progress_bar()
        transformers.Olmo2ForCausalLM(config).save_pretrained(folder)
        args = PipelineArgs(
            model_path=folder, quantization_encoding="float32", max_length=128,
            device_specs=[DeviceSpec.cpu()], runtime={"max_batch_size": 1},
        )  # fmt: skip
        pipeline = PipelineConfig.from_args(args)
        architecture = PIPELINE_REGISTRY.architecture_for_config(
            pipeline, task=PipelineTask.TEXT_GENERATION
        )
        weights = load_weights(pipeline.model.resolved_weight_paths())
        adapter = architecture.weight_adapters[WeightsFormat.safetensors]
        state = parse_state_dict_from_weights(pipeline, weights, adapter)
        own = Olmo2Config.initialize(pipeline, max_seq_len=128)
        own.finalize(huggingface_config=config, state_dict=state, return_logits=ReturnLogits.ALL,
                     norm_method="rms_norm", attention_bias=False)  # fmt: skip
        return Olmo2(own)


def measure() -> tuple[float, float]:
    """Largest error of q_norm, compiled, to the formula with `EPS`, and with 1e-6."""
    norm = built().layers[0].self_attn.q_norm
    kind = TensorType(DType.float32, ["tokens", FEATURES], DeviceRef.CPU())
    with Graph("q_norm", input_types=[kind]) as graph:
        graph.output(norm(graph.inputs[0].tensor))
    weight = np.ones(FEATURES, np.float32)
    model = InferenceSession(devices=[CPU()]).load(
        graph, weights_registry={norm.weight.name: weight}
    )
    x = 0.1 * np.random.default_rng(0).standard_normal((5, FEATURES)).astype(np.float32)
    found = model.execute(Buffer.from_numpy(x))[0].to_numpy()
    mean = (x.astype(np.float64) ** 2).mean(axis=-1, keepdims=True)
    asked, default = (float(np.abs(found - x / np.sqrt(mean + e)).max()) for e in (EPS, 1e-6))
    return asked, default


def main() -> int:
    """Print the errors; returns 1 while q_norm ignores the configuration."""
    print(f"max {importlib.metadata.version('max')}")
    asked, default = measure()
    print(f"q_norm, rms_norm_eps {EPS:g} in config.json: error {asked:.1e}")
    print(f"the same formula with 1e-6:           error {default:.1e}")
    return int(not asked <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
