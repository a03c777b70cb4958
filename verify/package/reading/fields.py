"""What a field of a configuration could say instead, by its name and its kind."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import transformers

from verify.package.reading.drawn import HEAD_DIM, ROPE, ROPE_OPTIONS, rope_parameters, unusual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Path = tuple[str, ...]
"""The names that lead to a field: `("rope_parameters", "factor")`."""

NUMBERS = (
    (r"partial_rotary|rotary_pct", (0.75, 1.0)),
    (r"theta|base_freq", (7000.0,)),
    (r"num_hidden_layers", (1,)),
    (r"num_attention_heads|n_head$", (2, 8)),
    (r"num_key_value_heads", (4, 1)),
    (r"head_dim", (32,)),
    (r"intermediate_size|ffn_dim|n_inner", (80,)),
    (r"sliding_window", (3,)),
    (r"original_max_position_embeddings", (16,)),
    (r"vocab_size|hidden_size|n_embd|position_embeddings|n_positions|max_window_layers", ()),
)
"""Other numbers, by names; the first that matches counts. Sizes that only say how large the
checkpoint is are not changed: it would not fit."""

TWICE = 2.0
"""Any other number is multiplied by this."""

SWITCHED_ON: dict[str, Any] = {"clip_qkv": 0.05, "sliding_window": 3}
"""What a field that is off, None, could say."""

ACTIVATIONS = ("gelu_pytorch_tanh", "silu")
"""Other activations."""

NOT_MATHEMATICS = frozenset(transformers.PretrainedConfig().to_dict()) - {"tie_word_embeddings"}
"""Fields that every configuration has: how a model is used, not what it computes."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field with another value.

    Attributes:
        path: names that lead to it.
        before: its value; for `rope_type` and the lists of layers too.
        after: the other.
        values: the whole configuration with it.
    """

    path: Path
    before: Any
    after: Any
    values: Mapping[str, Any]

    @property
    def field(self) -> str:
        """The dotted name."""
        return ".".join(self.path)

    @property
    def is_number(self) -> bool:
        """Whether it is a number before and after.

        All else is a switch, which a package need not have, but then must refuse.
        """
        both = (self.before, self.after)
        return all(isinstance(one, int | float) and not isinstance(one, bool) for one in both)


def fields(values: Mapping[str, Any]) -> Iterator[Path]:
    """The paths of all fields that may be mathematics, those inside of dictionaries too."""
    for name, value in values.items():
        if name in NOT_MATHEMATICS or name.startswith("_"):
            continue
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in fields(value))
        else:
            yield (name,)


def changes(values: Mapping[str, Any], path: Path, first: Sequence[Any] = ()) -> Iterator[Change]:
    """The configuration with other values of one field.

    Args:
        values: the configuration.
        path: of the field.
        first: values that are tried before those of the tables.
    """
    before = at(values, path)
    for after in (*first, *_alternatives(path[-1], before)):
        made = with_value(values, path, after)
        if path[-1] == "rope_type":
            made = _with_rope(values, path[:-1], after)
        if path == ("num_attention_heads",):
            made = _with_heads(made, before)
        yield Change(path, before, after, made)


def rope_changes(followed: Change) -> Iterator[list[Change]]:
    """For each field that a kind of rotary embedding brings, the configuration with others of it.

    Args:
        followed: of `rope_type`.
    """
    values, path = followed.values, followed.path[:-1]
    held = at(values, path)
    for name in sorted(held.keys() - {"rope_type", "rope_theta", "partial_rotary_factor"}):
        yield list(changes(values, (name,) if name in values else (*path, name)))
    for name, value in ROPE_OPTIONS.get(followed.after, {}).items():
        full = (*path, name)
        yield [Change(full, None, value, with_value(values, full, value))]


def at(values: Mapping[str, Any], path: Path) -> Any:
    """The value of a field."""
    found: Any = values
    for name in path:
        found = found[name]
    return found


def with_value(values: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of a configuration with another value of a field."""
    made = copy.deepcopy(dict(values))
    at(made, path[:-1])[path[-1]] = value
    return made


def _with_heads(values: dict[str, Any], before: int) -> dict[str, Any]:
    """Heads of another size, where so many of them were as large as the model."""
    if (values.get("head_dim") or 0) * before == values["hidden_size"]:
        values["head_dim"] = values["hidden_size"] // values["num_attention_heads"]
    return values


def _alternatives(name: str, value: Any) -> list[Any]:
    if name == "rope_type":
        return [kind for kind in ROPE if kind != value]
    if value is None:
        return [SWITCHED_ON[name]] if name in SWITCHED_ON else []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return _numbers(name, value)
    if isinstance(value, str):
        return [one for one in ACTIVATIONS if "act" in name and one != value]
    if isinstance(value, list) and value:
        return _lists(value)
    return []


def _numbers(name: str, value: float) -> list[float]:
    for pattern, others in NUMBERS:
        if re.search(pattern, name):
            return [other for other in others if other != value]
    if unusual(name, 0.125) == 0.125:  # it belongs to training
        return []
    doubled = type(value)(value * TWICE)
    return [doubled] if doubled != value else []


def _lists(value: list[Any]) -> list[Any]:
    """A list of numbers doubled, or one entry a layer the other way round and all alike."""
    if all(isinstance(one, float | int) and not isinstance(one, bool) for one in value):
        return [[TWICE * one for one in value]]
    others = [value[::-1], [value[0]] * len(value), [value[-1]] * len(value)]
    return [other for other in others if other != value]


def _with_rope(values: Mapping[str, Any], path: Path, kind: str) -> dict[str, Any]:
    """Another kind of rotary embedding, with the base and the share of the head that there were."""
    before = at(values, path)
    kept = {k: before[k] for k in ("rope_theta", "partial_rotary_factor") if k in before}
    head = values.get("head_dim") or HEAD_DIM
    partial = before.get("partial_rotary_factor") or 1.0
    return with_value(values, path, rope_parameters(kind, head, partial) | kept)
