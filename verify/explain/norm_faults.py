"""What people compute in place of LayerNorm, beyond the faults of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from verify.faults.base import Fault
from verify.faults.catalogue import LAYER_NORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference.oracle import Oracle
    from reference.trace import Array

    Axes = int | tuple[int, ...]

NO_WEIGHT, NO_BIAS = "the weight left out", "the bias left out"

FEATURES, POSITIONS, ROWS = -1, -2, 0
"""The axes of an activation [B, S, D]."""


def _mean(x: Array, axes: Axes = FEATURES) -> Array:
    mean: Array = x.mean(axis=axes, keepdims=True)
    return mean


def _centred(x: Array) -> Array:
    return x - _mean(x)


def _variance(x: Array) -> Array:
    return _mean(_centred(x) ** 2)


def _std_of_sample(x: Array) -> Array:
    std: Array = x.std(axis=FEATURES, keepdims=True, ddof=1)
    return std


_NORMALISED: tuple[tuple[str, Callable[[Array, float], Array], str], ...] = (
    (
        "ln_root_twice",
        lambda x, eps: _centred(x) / np.sqrt(np.sqrt(_variance(x)) + eps),
        "(x - mean) / sqrt(std + eps): a root too many",
    ),
    (
        "ln_no_root",
        lambda x, eps: _centred(x) / (_variance(x) + eps),
        "(x - mean) / (var + eps): the root left out",
    ),
    (
        "ln_squared",
        lambda x, eps: _centred(x) / (_variance(x) + eps) ** 2,
        "(x - mean) / (var + eps)^2: a square for the root",
    ),
    (
        "ln_multiplied",
        lambda x, eps: _centred(x) * np.sqrt(_variance(x) + eps),
        "(x - mean) * sqrt(var + eps): multiplied where it divides",
    ),
    (
        "ln_not_divided",
        lambda x, _: _centred(x),
        "x - mean: not divided by sqrt(var + eps)",
    ),
    (
        "ln_sum_of_squares",
        lambda x, eps: _centred(x) / np.sqrt(_variance(x) * x.shape[-1] + eps),
        "the sum of squares for their mean: the variance not divided by D",
    ),
    (
        "ln_mean_added",
        lambda x, eps: (x + _mean(x)) / np.sqrt(_mean((x + _mean(x)) ** 2) + eps),
        "x + mean: the mean added where it is subtracted",
    ),
    (
        "ln_mean_added",
        lambda x, eps: (x + _mean(x)) / np.sqrt(_variance(x) + eps),
        "x + mean in the numerator: the mean added where it is subtracted",
    ),
    (
        "ln_sum_subtracted",
        lambda x, eps: (
            (x - x.sum(-1, keepdims=True))
            / np.sqrt(_mean((x - x.sum(-1, keepdims=True)) ** 2) + eps)
        ),
        "x - sum: the sum subtracted where it is the mean",
    ),
    (
        "ln_not_centred",
        lambda x, eps: x / np.sqrt(_variance(x) + eps),
        "x / sqrt(var + eps): the mean not subtracted in the numerator",
    ),
    (
        "ln_second_moment",
        lambda x, eps: _centred(x) / np.sqrt(_mean(x * x) + eps),
        "(x - mean) / sqrt(mean(x^2) + eps): the mean not subtracted in the variance",
    ),
    (
        "ln_absolute",
        lambda x, eps: _centred(x) / np.sqrt(_mean(np.abs(_centred(x))) + eps),
        "the mean of |x - mean| for that of (x - mean)^2",
    ),
    (
        "ln_fourth_power",
        lambda x, eps: _centred(x) / np.sqrt(_mean(_centred(x) ** 4) + eps),
        "the mean of (x - mean)^4: squared twice",
    ),
    (
        "ln_not_squared",
        lambda x, eps: _centred(x) / np.sqrt(eps),
        "the mean of (x - mean), which is 0, for that of (x - mean)^2",
    ),
    (
        "ln_no_mean_of_squares",
        lambda x, eps: _centred(x) / np.sqrt(_centred(x) ** 2 + eps),
        "(x - mean)^2 itself for its mean",
    ),
    (
        "ln_mean_alone",
        lambda x, eps: _mean(x) / np.sqrt(_mean(x) ** 2 + eps),
        "the mean itself for x - mean",
    ),
    (
        "ln_numerator",
        lambda x, eps: 1 / np.sqrt(_variance(x) + eps),
        "1 / sqrt(var + eps): (x - mean) left out",
    ),
    (
        "ln_root_added",
        lambda x, eps: _centred(x) + 1 / np.sqrt(_variance(x) + eps),
        "(x - mean) + 1 / sqrt(var + eps): added where it multiplies",
    ),
    (
        "ln_eps_subtracted",
        lambda x, eps: _centred(x) / np.sqrt(_variance(x) - eps),
        "eps subtracted from the variance",
    ),
    (
        "ln_eps_multiplied",
        lambda x, eps: _centred(x) / np.sqrt(_variance(x) * eps),
        "the variance times eps, where eps is added",
    ),
    (
        "ln_root_of_centred",
        lambda x, eps: _centred(x) / np.sqrt(_centred(x) + eps),
        "the root of x - mean for that of the variance, which gives NaN",
    ),
    (
        "ln_std_of_sample",
        lambda x, eps: _centred(x) / (_std_of_sample(x) + eps),
        "(x - mean) / (std + eps): eps added to the root, and the variance divides by D - 1",
    ),
    (
        "ln_std_of_sample",
        lambda x, eps: _centred(x) / np.sqrt(_std_of_sample(x) + eps),
        "(x - mean) / sqrt(std + eps): a root too many, and the variance divides by D - 1",
    ),
)
"""In place of (x - mean) / sqrt(var + eps)."""

_OVER: tuple[tuple[Axes, str], ...] = (
    (POSITIONS, "the positions of a row"),
    (ROWS, "the rows of the batch"),
    ((POSITIONS, FEATURES), "the positions and the features of a row together"),
    ((ROWS, POSITIONS), "all rows and positions, feature by feature (as BatchNorm does)"),
    ((ROWS, POSITIONS, FEATURES), "all rows, positions and features together"),
)

_AFFINE: tuple[tuple[str, Callable[[Array, Array, Array], Array], str], ...] = (
    ("ln_no_weight", lambda n, w, b: n + b, f"(x - mean) / sqrt(var + eps) + bias: {NO_WEIGHT}"),
    ("ln_no_bias", lambda n, w, b: n * w, f"(x - mean) / sqrt(var + eps) * weight: {NO_BIAS}"),
    ("ln_weight_plus_one", lambda n, w, b: n * (1 + w) + b, "1 + weight for the weight"),
    ("ln_exchanged", lambda n, w, b: n * b + w, "weight and bias exchanged"),
    ("ln_bias_first", lambda n, w, b: (n + b) * w, "the bias added before the weight multiplies"),
    ("ln_bias_subtracted", lambda n, w, b: n * w - b, "the bias subtracted"),
    ("ln_weight_divides", lambda n, w, b: n / w + b, "divided by the weight"),
    ("ln_bias_multiplies", lambda n, w, b: n * w * b, "the bias multiplies where it is added"),
    ("ln_bias_twice", lambda n, w, b: n * b + b, "the bias in the place of the weight too"),
    ("ln_weight_twice", lambda n, w, b: n * w + w, "the weight in the place of the bias too"),
    ("ln_weight_added", lambda n, w, b: n + w + b, "the weight added where it multiplies"),
)


def norm_faults(place: str) -> Iterator[Fault]:
    """Faults of a LayerNorm without a number to be fitted.

    Args:
        place: of the LayerNorm.
    """
    for id_, form, found in _NORMALISED:
        yield _fault(place, id_, _normalised(form), found)
    for axes, over in _OVER:
        both, mean_alone = _along(axes, axes), _along(axes, FEATURES)
        variance_alone = _along(FEATURES, axes)
        yield _fault(place, "ln_axis", both, f"mean and variance over {over}, not the features")
        yield _fault(place, "ln_axis", mean_alone, f"the mean over {over}, not the features")
        yield _fault(
            place, "ln_axis", variance_alone, f"the variance over {over}, not the features"
        )
    for id_, affine, found in _AFFINE:
        yield _fault(place, id_, _scaled(affine), found)


def _fault(place: str, id_: str, replacement: Callable[..., Array], found: str) -> Fault:
    return Fault(
        id=id_, tap=place, method="layer_norm", within=place, replace=replacement,
        expected=LAYER_NORM, found=found, seen_in="",
    )  # fmt: skip


def _normalised(form: Callable[[Array, float], Array]) -> Callable[..., Array]:
    def layer_norm(model: Oracle, original: Any, x: Array, path: str) -> Array:
        normalised = form(x, model.config.layer_norm_epsilon)
        return normalised * model.weights[f"{path}.weight"] + model.weights[f"{path}.bias"]

    return layer_norm


def _along(of_mean: Axes, of_variance: Axes) -> Callable[..., Array]:
    def normalised(x: Array, eps: float) -> Array:
        centred = x - _mean(x, of_mean)
        return centred / np.sqrt(_mean(centred**2, of_variance) + eps)

    return _normalised(normalised)


def _scaled(affine: Callable[[Array, Array, Array], Array]) -> Callable[..., Array]:
    def layer_norm(model: Oracle, original: Any, x: Array, path: str) -> Array:
        weight, bias = model.weights[f"{path}.weight"], model.weights[f"{path}.bias"]
        return affine(model.normalise(x), weight, bias)

    return layer_norm
