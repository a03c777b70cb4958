"""Faults as real MAX graphs: what the catalogue plants in the oracle, planted in the MAX model.

A fault in NumPy shows what the rule notices; one in MAX shows that it is noticed through the whole
path: traced, compiled, fused, executed. Every entry is a block of `impl.model` with one part
replaced. Only the forced graph of that block is traced, and all of them compile as one program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import LayerNorm, Linear, Module
from max.experimental.tensor import Tensor, default_device, default_dtype
from max.graph import Module as Program
from max.graph import TensorType

from impl.model import GPT2Attention, GPT2Block, causal_mask
from impl.runtime import open_device
from impl.weights import from_hugging_face
from reference.dtypes import DTYPES, held_in
from reference.taps import INPUT, is_input
from verify.candidate.calls import paths_of
from verify.candidate.program import CompiledProgram
from verify.candidate.staging import stage_forced, stage_tapped, weightless
from verify.faults.catalogue import CATALOGUE
from verify.faults.power import fault_check
from verify.faults.sighting import Sighting, sight
from verify.truth.cases import PROBE_SIZE, probe_case, random_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from max.driver import Device

    from impl.config import GPT2Config
    from reference.trace import Array, Trace
    from verify.candidate.program import BoundProgram
    from verify.judge.verdict import Check
    from verify.truth.cases import Case
    from verify.truth.expectation import Expectation
    from verify.truth.references import References


class Replaced(Module[[Tensor], Tensor]):
    """A part without weights whose result is some other function of its input."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class ReplacedNorm(LayerNorm):
    """A LayerNorm that computes some other function of its input, weight and bias."""

    def __init__(self, dim: int, function: Callable[[LayerNorm, Tensor], Tensor]) -> None:
        super().__init__(dim)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class ReplacedLinear(Linear):
    """A linear layer that computes some other function of its input, weight and bias."""

    def __init__(
        self, in_dim: int, out_dim: int, function: Callable[[Any, Tensor], Tensor]
    ) -> None:
        super().__init__(in_dim, out_dim)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The choices in which attention goes wrong; the defaults are GPT-2's.

    Attributes:
        order: which of c_attn's thirds are query, key and value.
        scale: of the scores, from the configuration; None for what is right.
        mask: what is added to the scores, from their length.
        axis: of the softmax.
        interleaved: features split as [head_dim, head].
        merged: whether positions and heads are transposed back before they are flattened.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    scale: Callable[[GPT2Config], float] | None = None
    mask: Callable[[Any, DType, Any], Tensor | None] = causal_mask
    axis: int = -1
    interleaved: bool = False
    merged: bool = True


class FaultyAttention(GPT2Attention):
    """Attention that makes the choices it is given; all else, its precision too, is impl's."""

    def __init__(self, config: GPT2Config, choices: Attention) -> None:
        super().__init__(config)
        self.choices = choices
        self.scale = choices.scale and choices.scale(config)

    def attend(self, fused: Tensor) -> Tensor:
        choices = self.choices
        parts = F.chunk(fused, 3, axis=-1)
        query, key, value = (self.split_heads(parts[i]) for i in choices.order)
        scores = query @ key.transpose(-2, -1) * (self.scale or 1 / self.divisor)
        mask = choices.mask(fused.shape[-2], scores.dtype, fused.device)
        scores = scores if mask is None else scores + mask
        return self.merge_heads(F.softmax(scores, axis=choices.axis) @ value)

    def split_heads(self, x: Tensor) -> Tensor:
        if not self.choices.interleaved:
            return super().split_heads(x)
        parts = x.reshape([x.shape[0], x.shape[1], self.head_dim, self.n_head])
        return parts.permute([0, 3, 1, 2])

    def merge_heads(self, x: Tensor) -> Tensor:
        if self.choices.merged:
            return super().merge_heads(x)
        return x.reshape([x.shape[0], x.shape[2], self.n_head * self.head_dim])  # x: [B, H, S, K]


class FaultyBlock(GPT2Block):
    """A block whose first residual connection adds something else than its input."""

    def __init__(self, config: GPT2Config, residual: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__(config)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = self.residual(self, x) + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


def _with(name: str, part: Callable[[GPT2Config], Any]) -> Callable[[GPT2Config], GPT2Block]:
    """A block of impl with the part at a dotted path replaced."""

    def make(config: GPT2Config) -> GPT2Block:
        block = GPT2Block(config)
        *path, last = name.split(".")
        owner: Any = block
        for step in path:
            owner = getattr(owner, step)
        setattr(owner, last, part(config))
        return block

    return make


def _activation(function: Callable[[Tensor], Tensor]) -> Callable[[GPT2Config], GPT2Block]:
    return _with("mlp.act", lambda _: Replaced(function))


def _norm(function: Callable[[LayerNorm, Tensor], Tensor]) -> Callable[[GPT2Config], GPT2Block]:
    return _with("ln_1", lambda config: ReplacedNorm(config.n_embd, function))


def _attention(**choices: Any) -> Callable[[GPT2Config], GPT2Block]:
    return _with("attn", lambda config: FaultyAttention(config, Attention(**choices)))


def _epsilon(value: float) -> Callable[[GPT2Config], GPT2Block]:
    return _with("ln_1", lambda config: LayerNorm(config.n_embd, eps=value))


def _square_linear(function: Callable[[Any, Tensor], Tensor]) -> Callable[[GPT2Config], GPT2Block]:
    return _with(
        "attn.c_proj", lambda config: ReplacedLinear(config.n_embd, config.n_embd, function)
    )


def _fused_linear(function: Callable[[Any, Tensor], Tensor]) -> Callable[[GPT2Config], GPT2Block]:
    return _with(
        "attn.c_attn", lambda config: ReplacedLinear(config.n_embd, 3 * config.n_embd, function)
    )


def _band_mask(reach: int, fill: float) -> Callable[[Any, DType, Any], Tensor]:
    def mask(length: Any, dtype: DType, device: Any) -> Tensor:
        blocked = F.broadcast_to(F.constant(fill, dtype=dtype, device=device), [length, length])
        return F.band_part(blocked, num_lower=None, num_upper=reach, exclude=True)

    return mask


def _tanh_gelu(x: Tensor, constant: float) -> Tensor:
    return 0.5 * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + constant * x * x * x)))


def _normalised(x: Tensor, epsilon: float) -> Tensor:
    centred = x - F.mean(x, axis=-1)
    return centred * F.rsqrt(F.mean(centred * centred, axis=-1) + epsilon)


def _bf16(x: Tensor) -> Tensor:
    return F.cast(F.cast(x, DType.bfloat16), x.dtype)


MAX_FAULTS: dict[str, Callable[[GPT2Config], GPT2Block]] = {
    "gelu_erf": _activation(lambda x: F.gelu(x, approximate="none")),
    "gelu_sigmoid": _activation(lambda x: F.gelu(x, approximate="quick")),
    "gelu_wrong_const": _activation(lambda x: x * _tanh_gelu(x, 0.047715)),
    "gelu_missing_x": _activation(lambda x: _tanh_gelu(x, 0.044715)),
    "relu": _activation(F.relu),
    "output_aliased": _activation(lambda x: x),
    "ln_eps_1e-6": _epsilon(1e-6),
    "ln_eps_1e-12": _epsilon(1e-12),
    "ln_no_affine": _norm(lambda norm, x: _normalised(x, norm.eps)),
    "ln_no_mean": _norm(
        lambda norm, x: x * F.rsqrt(F.mean(x * x, axis=-1) + norm.eps) * norm.weight + norm.bias
    ),
    "bias_dropped": _fused_linear(lambda linear, x: x @ linear.weight.T),
    "weights_bf16": _fused_linear(lambda linear, x: x @ _bf16(linear.weight).T + linear.bias),
    "matmul_bf16": _fused_linear(
        lambda linear, x: _bf16(x) @ _bf16(linear.weight).T + linear.bias
    ),
    "mask_missing": _attention(mask=lambda *_: None),
    "mask_off_by_one": _attention(mask=_band_mask(1, -math.inf)),
    "mask_-1e4": _attention(mask=_band_mask(0, -1e4)),
    "mask_-1e5": _attention(mask=_band_mask(0, -1e5)),
    "scale_missing": _attention(scale=lambda _: 1.0),
    "scale_twice": _attention(scale=lambda config: 1 / config.head_dim),
    "scale_n_embd": _attention(scale=lambda config: 1 / math.sqrt(config.n_embd)),
    "qk_swapped": _attention(order=(1, 0, 2)),
    "kv_swapped": _attention(order=(0, 2, 1)),
    "heads_interleaved": _attention(interleaved=True),
    "heads_not_merged": _attention(merged=False),
    "conv1d_not_transposed": _square_linear(lambda linear, x: x @ linear.weight + linear.bias),
    "residual_from_ln": lambda config: FaultyBlock(
        config, lambda block, x: _normalised(x, block.ln_1.eps)
    ),
    "residual_missing": lambda config: FaultyBlock(config, lambda _, x: 0.0 * x),
}  # fmt: skip
"""Blocks with one fault, by the fault's id in the catalogue."""


class FaultProgram:
    """Every block of `MAX_FAULTS`, compiled as one program of forced graphs.

    Args:
        config: the model's sizes.
        device: where the program runs.
        dtype: of its parameters and activations.
    """

    def __init__(self, config: GPT2Config, device: Device, dtype: str = "float32") -> None:
        self.config = config
        self.device = device
        self.dtype = dtype
        self.layer = config.n_layer // 2
        self._taps: dict[str, tuple[list[str], list[str]]] = {}
        program = Program()
        wrong = {fault.id for fault in CATALOGUE if fault.of(config)}
        for name, make in MAX_FAULTS.items():
            if name not in wrong:
                continue
            with default_device(device), default_dtype(DType[dtype]), F.lazy():
                block = make(config)
            block.attn.divisor = config.attention_divisor(self.layer)
            block.device = device
            self._taps[name] = self._stage(name, block, program)
        self._compiled = CompiledProgram(program, device, "blocks with faults in them")

    @property
    def path(self) -> str:
        """Where the faulty block is in the model."""
        return f"transformer.h.{self.layer}"

    @property
    def takes(self) -> set[str]:
        """The taps whose activations the faulty blocks are given."""
        return {tap for takes, _ in self._taps.values() for tap in takes}

    def own(self, weights: Mapping[str, Array]) -> dict[str, Array]:
        """Of a model's weights, those of the block, under their own names."""
        return {name: w for name, w in weights.items() if name.startswith(f"{self.path}.")}

    def _stage(
        self, name: str, block: Module[..., Any], program: Program
    ) -> tuple[list[str], list[str]]:
        """Trace one block's forced graph; returns the taps it takes and the taps it gives."""
        model = weightless(block)
        paths = paths_of(model, self.path)
        shape = ["batch", "sequence", self.config.n_embd]
        types = [TensorType(DType[self.dtype], shape, device=self.device)]
        seen = stage_tapped("shapes", model, types, paths, Program())
        given = {tap: kind for tap, kind in seen.items() if not is_input(tap) and tap != self.path}
        return list(given), stage_forced(name, model, types, paths, given, program)

    def traces(self, weights: Mapping[str, Array], expected: Expectation) -> dict[str, Trace]:
        """What each faulty block computes on a case's activations.

        Args:
            weights: as `impl.weights` lays them out.
            expected: the case; its batch and length are free.
        """
        prefix = f"{self.path}."
        own = {name.removeprefix(prefix): w for name, w in self.own(weights).items()}
        bound = self._compiled.bind(own)
        x = expected.isolated[self.path + INPUT].astype(DTYPES[self.dtype])
        return {name: self._run(bound, name, x, expected.given) for name in self._taps}

    def _run(self, bound: BoundProgram, name: str, x: Array, given: Mapping[str, Array]) -> Trace:
        takes, gives = self._taps[name]
        results = bound.run(name, [x, *(given[tap] for tap in takes)])
        return dict(zip(gives, results, strict=True))

    def sightings(
        self, weights: Mapping[str, Array], expected: Expectation, dtype: str
    ) -> list[Sighting]:
        """Judge every faulty block on one case."""
        faults = {fault.id: fault for fault in CATALOGUE}
        return [
            sight(
                faults[name], self.layer, trace, expected.isolated,
                expected.isolated_envelope, dtype,
            )
            for name, trace in self.traces(weights, expected).items()
        ]  # fmt: skip


class MaxPower:
    """What was seen of each fault in MAX, on the CPU, in one state of the weights.

    Args:
        references: of that state; its cases are made use of.
    """

    def __init__(self, references: References) -> None:
        checkpoint, dtype = references.checkpoint, references.dtype
        self._references = references
        self._program = FaultProgram(checkpoint.config, open_device("cpu"), dtype)
        weights = from_hugging_face(checkpoint.config, checkpoint.weights)
        self._weights = held_in(dtype, self._program.own(weights))
        self.best: dict[str, Sighting] = {}

    @property
    def complete(self) -> bool:
        """Whether every fault has been caught."""
        return bool(self.best) and all(sighting.caught for sighting in self.best.values())

    def look(self, expected: Expectation) -> None:
        """Judge every faulty block on a case, unless each has been caught already."""
        if self.complete or not self._program.takes <= expected.given.keys():
            return
        for sighting in self._program.sightings(self._weights, expected, self._references.dtype):
            known = self.best.get(sighting.fault)
            if known is None or (sighting.caught, sighting.margin) > (known.caught, known.margin):
                self.best[sighting.fault] = sighting

    def checks(self, regime: str, seed: int) -> Iterator[Check]:
        """One check for each fault; where no case has caught it yet, two more are computed.

        Args:
            regime: the state of the weights.
            seed: draws the inputs.
        """
        oracle = self._references.oracle
        for case in _cases(oracle.config, regime, seed):
            if not self.complete:
                self.look(self._references.expectation(case, oracle.output_taps(), free=False))
        faults = {fault.id: fault for fault in CATALOGUE}
        for name, sighting in self.best.items():
            yield replace(fault_check(sighting, faults[name], mode="max-power"), device="cpu")


def _cases(config: GPT2Config, regime: str, seed: int) -> list[Case]:
    plain = random_cases(config, regime, [PROBE_SIZE], seed=seed, device="cpu")
    return [*plain, probe_case(config, regime, seed=seed, device="cpu")]
