"""A package on a checkpoint: with `one_cpu` the one file that touches `max.pipelines`.

What a package consists of moves between versions of MAX: every class and function that is used here
is imported at the top of this file, and used by each test of a package.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from max.driver import DeviceSpec, load_devices
from max.engine import InferenceSession
from max.graph.weights import load_weights, weights_format
from max.nn.transformer import ReturnLogits
from max.pipelines import PIPELINE_REGISTRY
from max.pipelines.context import TextContext
from max.pipelines.context.tokens import TokenBuffer
from max.pipelines.kv_cache import load_kv_manager
from max.pipelines.lib import PipelineArgs, PipelineConfig
from max.pipelines.lib.memory_estimation import MemoryEstimator
from max.pipelines.modeling.types import PipelineTask
from safetensors import safe_open

from verify.package.opening.one_cpu import on_one_cpu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reference.trace import Array

PAGE = 128
"""Tokens of a page of the cache."""

MOST_REQUESTS = 4
"""In a batch."""


@dataclass(slots=True)
class Opened:
    """A package's model on a checkpoint.

    Attributes:
        architecture: MAX's `SupportedArchitecture`.
        config: MAX's `PipelineConfig`.
        plan: MAX's memory plan.
        model: the pipeline model.
        cache: the manager of the paged cache; None for a model without one.
    """

    architecture: Any
    config: Any
    plan: Any
    model: Any
    cache: Any


def configured(
    folder: Path, *, v3: bool, custom: Sequence[str] = (), encoding: str | None = None,
    max_length: int = 512, echo: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """MAX's `PipelineConfig` of a package on a checkpoint, and its `SupportedArchitecture`.

    A package that declares 16 bits alone is opened in the encoding that is asked for all the same:
    what it computes does not depend on it.

    Args:
        folder: a checkpoint of Hugging Face.
        v3: whether the architecture of `max.experimental.nn` is preferred.
        custom: folders of packages, as `max serve --custom-architectures` takes them.
        encoding: of the weights; None for the checkpoint's own.
        max_length: tokens of a request at most.
        echo: whether the logits of every token are wanted, not of the last of each request alone,
            which is all that some packages have.
    """
    encoding = encoding or encoding_of(folder)
    _admit(folder, v3, encoding)
    args = PipelineArgs(
        model_path=str(folder),
        quantization_encoding=encoding,
        device_specs=[DeviceSpec.cpu()],
        enable_echo=echo,
        max_length=max_length,
        use_subgraphs=False,
        runtime={
            "prefer_module_v3": v3,
            "max_batch_size": MOST_REQUESTS,
            "custom_architectures": list(custom),
        },
        kv_cache={"enable_prefix_caching": True, "kv_cache_page_size": PAGE},
    )
    with on_one_cpu():
        config = PipelineConfig.from_args(args)
        architecture = PIPELINE_REGISTRY.architecture_for_config(
            config, task=PipelineTask.TEXT_GENERATION
        )
    return config, architecture


def open_package(
    folder: Path, *, v3: bool, custom: Sequence[str] = (), encoding: str | None = None,
    max_length: int = 512, echo: bool = True,
) -> Opened:  # fmt: skip
    """Make a package's model, with its weights, on a CPU.

    Args:
        folder: as `configured` takes it.
        v3: likewise.
        custom: likewise.
        encoding: likewise.
        max_length: likewise.
        echo: likewise.
    """
    with on_one_cpu():
        config, architecture = configured(
            folder, v3=v3, custom=custom, encoding=encoding, max_length=max_length, echo=echo
        )
        return _opened(config, architecture, max_length, echo=echo)


def _opened(config: Any, architecture: Any, max_length: int, *, echo: bool) -> Opened:
    plan = MemoryEstimator.plan(config, architecture)
    devices = load_devices(list(plan.require_device_specs()))
    session = InferenceSession(devices=devices)
    config.configure_session(session)
    paths = config.model.resolved_weight_paths()
    model = architecture.pipeline_model(
        pipeline_config=config,
        session=session,
        devices=devices,
        kv_cache_config=config.model.kv_cache,
        weights=load_weights(paths),
        adapter=architecture.weight_adapters.get(weights_format(paths)),
        return_logits=ReturnLogits.ALL if echo else ReturnLogits.LAST_TOKEN,
        max_batch_size=MOST_REQUESTS,
        memory_plan=plan,
    )
    cache = load_kv_manager(
        params=model.kv_params, max_batch_size=MOST_REQUESTS, max_seq_len=model.max_seq_len,
        session=session, available_cache_memory=plan.available_cache_memory, is_di_enabled=False,
        model_name="verify", max_num_input_tokens=max_length,
    )  # fmt: skip
    return Opened(architecture, config, plan, model, cache)


def encoding_of(folder: Path) -> str:
    """MAX's word for what most of a checkpoint's tensors are: `bfloat16`, or else `float32`."""
    kinds: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), "np") as opened:
            kinds.update(opened.get_slice(name).get_dtype() for name in opened.keys())  # noqa: SIM118
    return "bfloat16" if kinds and kinds.most_common(1)[0][0] == "BF16" else "float32"


def _admit(folder: Path, v3: bool, encoding: str) -> None:
    """Let the built-in architecture of a checkpoint take an encoding that it does not declare."""
    for name in json.loads((folder / "config.json").read_text()).get("architectures") or ():
        architecture = PIPELINE_REGISTRY.retrieve_architecture(
            name, prefer_module_v3=v3, task=PipelineTask.TEXT_GENERATION
        )
        if architecture is not None:
            for declared in (architecture, architecture.config):
                _declared(declared).add(encoding)


def _declared(owner: Any) -> set[str]:
    """The encodings that an architecture or its configuration declares, to be added to."""
    for name in ("supported_encodings", "SUPPORTED_ENCODINGS"):
        found: set[str] | None = getattr(owner, name, None)
        if found is not None:
            return found
    return set()


def request(ids: Sequence[int] | Array, max_length: int) -> Any:
    """A request that has been given these tokens."""
    return TextContext(max_length=max_length, tokens=TokenBuffer(np.asarray(ids, dtype=np.int64)))
