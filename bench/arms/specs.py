"""What the parent process knows of each arm without importing it, and how arms are labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.tables.classes import class_of, family_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CANDIDATE = "candidate"
"""The arm of the model that `--candidate` names."""


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """What the parent process knows of an arm without importing it.

    Attributes:
        adapter: `module:class`.
        kv_cache: whether generation keeps keys and values, rather than computing them anew.
        candidate: whether it runs the MAX model, whose speed counts only when it is verified.
        engine: which engine that is, as `python -m verify --engines` names it; empty for the model
            without a cache; `CANDIDATE` for the model that `--candidate` names.
        dtype: of the weights.
        kv_dtype: of the cache; empty where it is that of the weights.
        coarse: the dtype that its results are judged by, where that is not `dtype`: `float16`,
            `bfloat16`, by the error of PyTorch's own pass in it; `bfloat16 weights`, by PyTorch in
            float32 with the weights rounded so.
        packages: a peer's own, which are installed apart (`bench.peers`); none for other arms.
        cpu_only: whether it runs on the CPU alone.
        fixed_shapes: whether a size that was not asked for costs it a compilation.
    """

    adapter: str
    kv_cache: bool = True
    candidate: bool = False
    engine: str = ""
    dtype: str = "float32"
    kv_dtype: str = ""
    coarse: str = ""
    packages: tuple[str, ...] = ()
    cpu_only: bool = False
    fixed_shapes: bool = False

    @property
    def judged_as(self) -> str:
        """The dtype that its results are judged by."""
        return self.coarse or self.dtype

    @property
    def class_(self) -> str:
        """What it is compared with: arms in float32, in bfloat16, or in 8 bits."""
        return class_of(self.dtype)

    @property
    def peer(self) -> bool:
        """Whether it runs in the peers' environment."""
        return bool(self.packages)


ARMS: dict[str, ArmSpec] = {
    "max": ArmSpec("bench.arms.max_engine:MaxEngine", candidate=True, engine="auto"),
    "max-bf16": ArmSpec(
        "bench.arms.max_engine:MaxEngineBF16",
        candidate=True,
        engine="auto:bfloat16",
        dtype="bfloat16",
        kv_dtype="float32",
        coarse="bfloat16 weights",
    ),
    "max-bf16-products": ArmSpec(
        "bench.arms.max_engine:MaxEngineBF16Products",
        candidate=True,
        engine="auto:bfloat16-products",
        dtype="bfloat16-products",
        kv_dtype="float32",
        coarse="bfloat16",
    ),
    "max-bf16-cache": ArmSpec(
        "bench.arms.max_engine:MaxEngineBF16Cache",
        candidate=True,
        engine="auto:bfloat16-cache",
        dtype="bfloat16-cache",
        kv_dtype="bfloat16",
        coarse="bfloat16",
    ),
    "max-int8": ArmSpec(
        "bench.arms.max_engine:MaxEngineInt8",
        candidate=True,
        engine="auto:int8",
        dtype="int8",
        kv_dtype="float32",
        coarse="int8 weights",
    ),
    "max-stock": ArmSpec("bench.arms.max_engine:MaxStock", candidate=True, engine="stock"),
    "max-readable": ArmSpec("bench.arms.max_readable:MaxReadable", kv_cache=False, candidate=True),
    CANDIDATE: ArmSpec(
        "bench.arms.candidate:OwnModel", kv_cache=False, candidate=True, engine=CANDIDATE
    ),
    "torch": ArmSpec("bench.arms.torch_eager:TorchEager"),
    "torch-compile": ArmSpec("bench.arms.torch_compile:TorchCompile", fixed_shapes=True),
    "torch-bf16": ArmSpec("bench.arms.torch_eager:TorchEagerBF16", dtype="bfloat16"),
    "onnxruntime": ArmSpec("bench.arms.onnxruntime:OnnxRuntime", packages=("onnxruntime",)),
    "openvino": ArmSpec("bench.arms.openvino:OpenVino", packages=("openvino",), cpu_only=True),
    "openvino-bf16": ArmSpec(
        "bench.arms.openvino:OpenVinoBF16",
        dtype="bfloat16",
        kv_dtype="float32",
        packages=("openvino",),
        cpu_only=True,
    ),
    "openvino-int8": ArmSpec(
        "bench.arms.openvino:OpenVinoInt8",
        dtype="int8",
        kv_dtype="float32",
        packages=("openvino", "nncf"),
        cpu_only=True,
    ),
    "ctranslate2": ArmSpec(
        "bench.arms.ctranslate2:CTranslate2", packages=("ctranslate2",), cpu_only=True
    ),
    "ctranslate2-int8": ArmSpec(
        "bench.arms.ctranslate2:CTranslate2Int8",
        dtype="int8",
        kv_dtype="float32",
        packages=("ctranslate2",),
        cpu_only=True,
    ),
    "llama.cpp": ArmSpec(
        "bench.arms.llama_cpp:LlamaCpp",
        coarse="float16",
        packages=("llama_cpp", "gguf"),
        cpu_only=True,
    ),
    "llama.cpp-bf16": ArmSpec(
        "bench.arms.llama_cpp:LlamaCppBF16",
        dtype="bfloat16",
        kv_dtype="float32",
        packages=("llama_cpp", "gguf"),
        cpu_only=True,
    ),
    "llama.cpp-q8_0": ArmSpec(
        "bench.arms.llama_cpp:LlamaCppQ8",
        dtype="int8",
        kv_dtype="float32",
        packages=("llama_cpp", "gguf"),
        cpu_only=True,
    ),
}

DEFAULT_ARMS = ("max", "torch")

PEER_ARMS = tuple(name for name, spec in ARMS.items() if spec.peer)

BASELINE = "torch"
"""The arm that ratios are taken to, where it takes part and `--baseline` names no other."""

OWN = "max"
"""The arm that a run answers about, where it takes part."""


def spec_of(label: str) -> ArmSpec:
    """The spec behind a label: an arm that runs twice is `torch` and `torch#2`."""
    return ARMS[label.partition("#")[0]]


def variants_of(name: str) -> list[str]:
    """An arm in each dtype that it has, itself among them: `max`, `max-bf16`, ..."""
    return [other for other in ARMS if family_of(other) == family_of(name)]


def labels_of(names: Sequence[str]) -> list[str]:
    """Tell the runners of one and the same arm apart: `torch, torch` is `torch, torch#2`."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return labels


def baseline_of(labels: Sequence[str], named: str = "") -> str:
    """The label that ratios are taken to: the named one, PyTorch's, or the first."""
    return next((label for label in (named, BASELINE) if label in labels), labels[0])


def own_of(labels: Sequence[str], baseline: str = "") -> str:
    """The label that a run answers about: MAX's engine, else the baseline."""
    return OWN if OWN in labels else baseline_of(labels, baseline)


def with_null(labels: Sequence[str], baseline: str = "") -> list[str]:
    """Add the baseline's second runner where no arm runs twice, so that every run has a null."""
    names = [label.partition("#")[0] for label in labels]
    if len(set(names)) < len(names):
        return list(labels)
    return labels_of([*names, baseline_of(labels, baseline)])


def null_pair(labels: Sequence[str]) -> tuple[str, str] | None:
    """The label that ran against itself, and itself; None where no arm did."""
    second = next((label for label in labels if "#" in label), "")
    return (second, second.partition("#")[0]) if second else None
