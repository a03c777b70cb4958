"""Wrong solutions that are made of the lessons' solutions by rules, whatever the lessons are.

Rules change one thing of the source: an operator, an operand, a number, a name, a call. What they
make is not chosen, so that nobody has made a check fit them; what is said of them is not chosen
either, and only counted: whether it names a reason.
"""

from __future__ import annotations

import ast
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.steps.lessons import lesson

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.MatMult: (ast.Mult,),
}
"""By operator, others."""

NAMES = {
    "ln_1": "ln_2", "ln_2": "ln_1", "wte": "wpe", "wpe": "wte", "query": "key", "key": "value",
    "value": "query", "n_head": "head_dim", "head_dim": "n_head", "weight": "bias",
    "bias": "weight", "n_embd": "n_head", "vocab_size": "n_positions",
    "n_positions": "vocab_size", "n_layer": "n_head", "centred": "x", "variance": "centred",
    "ones": "zeros", "rsqrt": "sqrt", "mean": "sum", "argmax": "argmin", "c_fc": "c_proj",
}  # fmt: skip
"""By name, another that is there too."""


EQUAL = {
    (3, "self.weight = Tensor.zeros([dim])"): "where it starts from, which a checkpoint replaces",
    (3, "variance = F.mean(x * centred, axis=-1)"): "the mean times (x - mean) has mean 0",
    (3, "variance = F.mean(centred * x, axis=-1)"): "the mean times (x - mean) has mean 0",
    (6, "length = input_ids.shape[1]"): "the last axis of two",
    (7, "scores = query @ key.transpose(2, -1) / math.sqrt(self.head_dim)"): "the same axis",
    (10, "self.h = [GPT2Block(config) for _ in range(config.n_layer)]"): "a list holds them too",
    (12, "chosen = scores.argmax(axis=1)"): "the last axis of two",
    (14, "scores = query @ keys.transpose(2, -1) / math.sqrt(attention.head_dim)"): "the same axis",
}
"""By step and changed line, mutants that compute the same, and why: they have to pass."""


WITHOUT = (13,)
"""Steps without mutants by rule: a server's would take ports and never answer."""


@dataclass(frozen=True, slots=True)
class SourceMutant:
    """A solution with one thing changed.

    Attributes:
        step: number of the step.
        rule: that made it.
        name: the step's number, the rule and a number within both.
        text: of the file.
    """

    step: int
    rule: str
    name: str
    text: str

    @property
    def why_equal(self) -> str:
        """Why it computes the same as the solution; "" where it is wrong."""
        lines = {line.strip() for line in self.text.splitlines()}
        return next(
            (why for (step, line), why in EQUAL.items() if step == self.step and line in lines), ""
        )


def source_mutants(number: int) -> Iterator[SourceMutant]:
    """Every mutant of a lesson's solution, in the order of its source.

    Args:
        number: of the step.
    """
    if number in WITHOUT:
        return
    solution = ast.parse(lesson(number).solution)
    counts: Counter[str] = Counter()
    texts = {ast.unparse(solution)}
    for rule, tree in _changed(solution):
        text = ast.unparse(ast.fix_missing_locations(tree))
        if text not in texts:
            texts.add(text)
            counts[rule] += 1
            yield SourceMutant(number, rule, f"{number} {rule} {counts[rule]}", text)


def _changed(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Each change of a tree, as a tree of its own."""
    for place, node in enumerate(_places(tree)):
        for rule, other in _others(node):
            copied = deepcopy(tree)
            twin = list(_places(copied))[place]
            for field, value in ast.iter_fields(other):
                setattr(twin, field, value)
            twin.__class__ = other.__class__
            yield rule, copied


def _places(tree: ast.Module) -> Iterator[ast.AST]:
    """What rules change: expressions inside of functions and fields, no annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AnnAssign):
            body = node.body if isinstance(node, ast.FunctionDef) else [node.value]
            for part in body:
                if part is not None and not isinstance(part, ast.AnnAssign):
                    yield from _expressions(part)


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.Raise | ast.JoinedStr):
        return
    if isinstance(node, ast.expr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)


def _others(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What a rule puts in the place of a node."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            for other in OPERATORS.get(type(op), ()):
                yield "operator", ast.BinOp(left=left, op=other(), right=right)
            yield "operand", deepcopy(left)
            yield "operand", deepcopy(right)
        case ast.Call(args=[first, *_]) if not isinstance(first, ast.Constant | ast.Starred):
            yield "operation", deepcopy(first)
        case ast.Constant(value=bool(value)):
            yield "number", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield "number", ast.Constant(value + 1)
            if value > 0:
                yield "number", ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield "number", ast.Constant(10 * value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "number", deepcopy(operand)
        case ast.Name(id=name, ctx=ast.Load() as context) if name in NAMES:
            yield "value", ast.Name(id=NAMES[name], ctx=context)
        case ast.Attribute(value=value, attr=name, ctx=ast.Load() as context) if name in NAMES:
            yield "value", ast.Attribute(value=value, attr=NAMES[name], ctx=context)
