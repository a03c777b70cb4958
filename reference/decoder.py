"""Any decoder of transformers as the reference: float32, float64, and other orders of evaluation.

transformers' modules cast to float32 where they want more than bfloat16 (LlamaRMSNorm, softmax,
rotary embeddings), and compute tables in it when they are made (`inv_freq`). In a float64 model
that would throw half the bits away, so that those casts are kept from happening, and the model is
made anew in float64 rather than widened.
"""

from __future__ import annotations

import copy
from collections import Counter
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from torch.overrides import TorchFunctionMode
from transformers.initialization import no_init_weights

from reference.checkpoint import CheckpointError
from reference.huggingface import HuggingFaceReference
from reference.regimes import PERTURBATION, STRESS_FACTOR
from reference.taps import LOGITS, OUTPUT, module_of
from reference.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from reference.trace import Array, Trace

ORDERS = ("reversed", "pairwise", "sequential")
"""Orders of the sums of a matrix product, besides torch's own."""

DRAWN = "drawn"
"""An order in which every result is moved by a unit in its last place, to a side that is drawn. In
float64 the oracle computes in the same precision, so that what functions round would else not show.
"""

DECODER_REGIMES = ("given", "perturbed", "stress")
"""States of a decoder's weights, as `reference.regimes` has them for a GPT-2."""

QUERIES_AND_KEYS = (("q_norm", "k_norm"), ("q_proj", "k_proj"))
"""What the `stress` regime scales: where queries and keys are normalised, the norms' weights."""

SAME_TABLE = 1e-5
"""Two tables that differ relatively by less are one, computed in float32 and in float64. A table of
powers, such as `inv_freq`, is off by a few units in float32's last place, 1e-7 each."""


class Decoder(HuggingFaceReference):
    """A causal language model of transformers, tapped.

    Args:
        model: in eval mode with eager attention; its parameters' dtype is what it computes in.
        order: of the sums, one of `ORDERS`, or `DRAWN`; None for torch's own.
    """

    def __init__(self, model: Any, order: str | None = None) -> None:
        self.model = model
        self.dtype = next(model.parameters()).dtype
        self.order = order
        self.tap: Callable[[str, Array], Array] = Recorder()

    def logits(self, ids: Array) -> Array:
        """Logits `[batch, sequence, vocab_size]`."""
        with self._arithmetic():
            return super().logits(ids)

    def language_model(self, ids: Array) -> None:
        """Run with `self.tap` at every module, as the envelope of a free run asks for."""
        self._watched_logits(ids, self.tap)

    def trace(self, ids: Array, given: Mapping[str, Array] | None = None) -> Trace:
        """As `HuggingFaceReference.trace`; given activations that no module computes are errors.

        What the model makes of its head's result, where it makes anything of it, is at `OUTPUT`.
        """
        recorder = Recorder(given)
        self._watched_logits(ids, recorder)
        return recorder.finish()

    @contextmanager
    def watched(self, recorder: Callable[[str, Array], Array]) -> Iterator[None]:
        """As `HuggingFaceReference.watched`; a module's second call has the tap `path#2`."""
        counts: Counter[str] = Counter()

        def numbered(tap: str, value: Array) -> Array:
            counts[tap] += 1
            if counts[tap] == 1:
                return recorder(tap, value)
            module = module_of(tap)
            return recorder(f"{module}#{counts[tap]}{tap.removeprefix(module)}", value)

        with super().watched(numbered):
            yield

    @cached_property
    def changes_logits(self) -> bool:
        """Whether the model returns something else than its head."""
        recorder = Recorder()
        with self.watched(recorder):
            logits = self.logits(np.zeros((1, 2), np.int64))
        return LOGITS in recorder.trace and not np.array_equal(logits, recorder.trace[LOGITS])

    @property
    def head(self) -> str:
        """The tap whose value is the logits that the model returns."""
        return OUTPUT if self.changes_logits else LOGITS

    def _watched_logits(self, ids: Array, tap: Callable[[str, Array], Array]) -> None:
        changes = self.changes_logits
        with self.watched(tap):
            logits = self.logits(ids)
        if changes:
            tap(OUTPUT, logits)

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        wide = float64_all_the_way() if self.dtype == torch.float64 else nullcontext()
        with wide, _in_order(self.order):
            yield


def load_decoder(folder: str) -> Any:
    """The float32 model of a folder that transformers wrote.

    Raises:
        CheckpointError: where transformers cannot read it.
    """
    transformers.utils.logging.disable_progress_bar()  # it takes a moment, and stderr is for errors
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, attn_implementation="eager",
            experts_implementation="eager",  # grouped products have no float64
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"transformers cannot read a decoder in {folder}: {first}") from error
    return model.eval()


def in_regime(model: Any, regime: str, *, seed: int = 0) -> Any:
    """A model with its weights changed as `regime` says; the model itself for `given`.

    Args:
        model: of transformers in float32; it stays as it is.
        regime: `perturbed` moves every parameter, vectors by `reference.regimes.PERTURBATION` and
            matrices by that share of their spread; `stress` scales queries and keys each by
            `STRESS_FACTOR`, so that masks matter.
        seed: draws what is random.

    Raises:
        CheckpointError: for another regime, or a model whose queries and keys are not found.
    """
    if regime == "given":
        return model
    if regime not in DECODER_REGIMES:
        known = ", ".join(DECODER_REGIMES)
        raise CheckpointError(f"unknown regime {regime!r} of a decoder; choose from {known}")
    changed = copy.deepcopy(model)
    with torch.no_grad():
        if regime == "perturbed":
            _perturb(changed, seed)
        else:
            _stress(changed)
    return changed


def _perturb(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        spread = 1.0 if parameter.ndim == 1 else float(parameter.std())
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.add_(PERTURBATION * spread * noise)


def _stress(model: Any) -> None:
    for names in QUERIES_AND_KEYS:
        found = [
            parameter for path, module in model.named_modules()
            if path.rpartition(".")[2] in names for parameter in module.parameters()
        ]  # fmt: skip
        for parameter in found:
            parameter.mul_(STRESS_FACTOR)
        if found:
            return
    raise CheckpointError("stress: the model has no modules q_proj and k_proj")


def in_float64(model: Any) -> Decoder:
    """The oracle: the same float32 model in float64, its tables and constants too."""
    with float64_all_the_way(), no_init_weights():
        wide = type(model)(copy.deepcopy(model.config))
    state = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    wide.load_state_dict(state, strict=False, assign=True)
    wide.tie_weights()
    made = dict(wide.named_buffers())
    for name, held in model.named_buffers():
        if not _is_same_table(made[name], held):
            made[name].copy_(held)
    return Decoder(wide.eval())


def _is_same_table(made: torch.Tensor, held: torch.Tensor) -> bool:
    """Whether what a model holds is what it computed when it was made, but for rounding."""
    if made.shape != held.shape or not held.is_floating_point():
        return False
    return torch.allclose(made, held.double(), rtol=SAME_TABLE, atol=0.0)


@contextmanager
def float64_all_the_way() -> Iterator[None]:
    """Whatever asks for float32 gets float64, and so does what names no dtype."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _KeepFloat64():
            yield
    finally:
        torch.set_default_dtype(default)


class _KeepFloat64(TorchFunctionMode):
    """Casts to float32, softmax in it and new tensors of it are float64."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func` with float64 wherever float32 is named."""
        if func is torch.Tensor.float:
            return args[0].double()
        args = tuple(torch.float64 if one is torch.float32 else one for one in args)
        kwargs = {
            name: torch.float64 if one is torch.float32 else one
            for name, one in (kwargs or {}).items()
        }
        return func(*args, **kwargs)


def _in_order(order: str | None) -> AbstractContextManager[Any]:
    if order == DRAWN:
        return Drawn()
    return Reordered(order) if order else nullcontext()


COMPUTING = (
    frozenset(
        ("add", "sub", "rsub", "mul", "div", "truediv", "rtruediv", "pow", "sqrt", "rsqrt", "exp")
    )
    | frozenset(
        (
            "sigmoid",
            "silu",
            "gelu",
            "tanh",
            "relu",
            "softmax",
            "mean",
            "sum",
            "cos",
            "sin",
            "linear",
        )
    )
    | frozenset(
        ("matmul", "layer_norm", "rms_norm", "addmm", "baddbmm", "bmm", "softplus", "log", "square")
    )
)
"""Names of torch's functions whose results are rounded."""


class Drawn(TorchFunctionMode):
    """Monte Carlo arithmetic: every rounded result goes to one of its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(0)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, and move its result if it computes one."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_")
        if name not in COMPUTING or not isinstance(result, torch.Tensor):
            return result
        return self._moved(result) if result.is_floating_point() else result

    def _moved(self, result: torch.Tensor) -> torch.Tensor:
        sides = torch.randint(0, 2, result.shape, generator=self._generator) * 2 - 1
        return result * (1 + sides * torch.finfo(result.dtype).eps)


class Reordered(TorchFunctionMode):
    """Matrix products and means summed in another order."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self._product = {"reversed": _reversed, "pairwise": _pairwise, "sequential": _sequential}[
            order
        ]

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, products and means in this order."""
        kwargs = kwargs or {}
        if func is torch.nn.functional.linear:
            x, weight, *rest = args
            bias = rest[0] if rest else kwargs.get("bias")
            product = self._product(x, weight.T)
            return product if bias is None else product + bias
        if (
            func is torch.addmm and not kwargs
        ):  # GPT-2's Conv1D; torch's own sums begin with the bias
            bias, x, weight = args
            return self._product(x, weight) + bias
        if func in (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__):
            return self._product(*args)
        if (
            func in (torch.mean, torch.Tensor.mean)
            and args[1:] in ((-1,), ())
            and (args[1:] or kwargs.get("dim") == -1)
        ):
            return func(args[0].flip(-1), *args[1:], **kwargs)
        return func(*args, **kwargs)


def _reversed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a.flip(-1) @ b.flip(-2)


def _pairwise(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    size = a.shape[-1]
    if size <= 8:
        return a @ b
    half = size // 2
    first = _pairwise(a[..., :half], b[..., :half, :])
    return first + _pairwise(a[..., half:], b[..., half:, :])


def _sequential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    total = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        total = total + a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return total
