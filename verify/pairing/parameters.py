"""Proposing a pairing: by path, then by shape and name, then by order; values settle the rest.

Parameters are a question of assignment: each of the candidate's has a cost at each place of the
reference that its shape fits, lower where the names agree, and the cheapest assignment of all is
taken (scipy's). Modules follow from their parameters (`verify.pairing.modules`).

An example: the square matrices of a candidate's attention. Blocks are taken together (a `Family`),
and since nothing of the candidate has the fused projection's shape, its thirds are three places
(`Slot`s). The shapes tell nothing here; what the names come to is

    cost at                c_attn [query]  [key]  [value]  c_proj
    self_attn.q_proj.weight      -70        -20     -20     -60
    self_attn.k_proj.weight      -20        -70     -20     -60
    self_attn.v_proj.weight      -20        -20     -70     -60
    self_attn.o_proj.weight      -30        -30     -30     -60

-70 is 10 for each of 7 points: 2 because both are weights, 1 because both are of attention, 4
because `q` is a word for the query. `proj` is one for c_proj, so each of the four would do there;
but only one can, and the sum is smallest with the fourth. Had they been called a, b, c and d, all
costs would be alike but for the order of declaration (at most 0.1), which would decide; and the
thirds would be a doubt, whose six orders are tried by value (`verify.pairing.prepare.settle`).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from verify.pairing.counterpart import PARTS, Counterpart, Pairing, PairingError
from verify.pairing.modules import atoms_of, corrected_places, pair_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from verify.pairing.file import Corrections
    from verify.pairing.outline import CandidateOutline, Parameter, ReferenceOutline, Shape

IMPOSSIBLE = 1e9
"""Cost of a place that the shape does not fit: never taken."""

NOWHERE = 1e6
"""Cost of leaving a parameter without counterpart: worse than any possible place."""

SAME_PATH = -1000.0
"""Cost of a name that is the reference's own: better than all that words can say together."""

HIT = -10.0
"""Cost of a point for names that agree, as the next four count them."""

SAME_KIND, SAME_GROUP, SAME_ROLE, SAME_PART = 2, 1, 3, 4
"""Points for a name that tells a weight or bias, a group (attention, MLP, norm, embedding), a part
of GPT-2, or a third of the fused projection: the rarer a word, the more it says. A name that
contradicts in kind or group loses as many; for roles there is no loss, since they share words."""

ORDER = 0.1
"""Cost of the largest disagreement in the order of declaration: it decides between equals."""

WORDS: dict[str, str] = {
    "wte": "wte tok token tokens word words vocab",
    "wpe": "wpe pos position positions positional",
    "ln_1": "ln1 norm1 input first pre 1",
    "ln_2": "ln2 norm2 post second 2",
    "ln_f": "f lnf final last",
    "lm_head": "head lm unembed logits output",
    "attn.c_attn": "qkv wqkv attn in fused",
    "attn.c_proj": "o wo out output dense proj",
    "mlp.c_fc": "fc fc1 w1 up in 1 expand",
    "mlp.c_proj": "proj fc2 w2 down out 2 contract",
    "query": "q wq query queries",
    "key": "k wk key keys",
    "value": "v wv value values",
}
"""Words by which people call the parts of a GPT-2."""

GROUPS: tuple[frozenset[str], ...] = (
    frozenset(["attn", "attention", "self", "mha", "sa", "heads"]),
    frozenset(["mlp", "ffn", "ff", "feed", "feedforward", "ffwd"]),
    frozenset(["ln", "norm", "layernorm", "rmsnorm"]),
    frozenset(["wte", "wpe", "emb", "embed", "embedding", "embeddings"]),
)
"""Words of which a name and its counterpart have the same ones."""

KINDS: dict[str, frozenset[str]] = {
    "weight": frozenset(["weight", "w", "gamma", "g", "scale", "gain", "kernel", "matrix"]),
    "bias": frozenset(["bias", "b", "beta", "shift", "offset"]),
}


@dataclass(frozen=True)
class Slot:
    """A place for a parameter: one of the reference's, or a third of one.

    Attributes:
        name: the reference's, with `{layer}` for a block's number.
        shape: of one block's.
        part: `query`, `key` or `value`, else "".
    """

    name: str
    shape: Shape
    part: str = ""

    @property
    def layered(self) -> bool:
        """Whether each block has one."""
        return "{layer}" in self.name


@dataclass(frozen=True)
class Family:
    """Parameters that differ in the block's number alone, or one parameter.

    Attributes:
        template: the name, with `{}` for the number.
        members: by block, or a single one.
        rank: where it is declared, from 0 to 1.
        stacked: whether its first axis is the blocks.
    """

    template: str
    members: tuple[Parameter, ...]
    rank: float
    stacked: bool = False

    @property
    def shape(self) -> Shape:
        """Of one block's."""
        shape = self.members[0].shape
        return shape[1:] if self.stacked else shape


def propose(
    candidate: CandidateOutline, reference: ReferenceOutline, corrections: Corrections | None = None
) -> Pairing:
    """Pair a candidate with a reference.

    Args:
        candidate: the model under test.
        reference: what it is compared with.
        corrections: what a pairing file says; it has the last word.

    Raises:
        PairingError: where a correction names what is not there, or does not fit.
    """
    weights, doubts = _weights(candidate, reference)
    if corrections:
        weights |= _checked(corrections.weights, candidate, reference)
        doubts = [d for d in doubts if not d[0].keys() & corrections.weights.keys()]
    weights = {p.name: weights[p.name] for p in candidate.parameters if p.name in weights}
    places, loose = pair_places(candidate, reference, weights)
    if corrections:
        places, loose = corrected_places(places, loose, corrections.places, candidate, reference)
    held = {atom for c in weights.values() for atom in atoms_of(c, reference)}
    missing = {n: set(reference.thirds(n)) - held for n in reference.parameters}
    spared = [n for n, thirds in missing.items() if thirds == {_of_keys(n, reference)}]
    unheld = [n for n, thirds in missing.items() if thirds and n not in spared]
    return Pairing(weights, places, loose, tuple(unheld), tuple(spared), tuple(doubts))


def _of_keys(name: str, reference: ReferenceOutline) -> str:
    """The keys' third of a fused bias; "" for any other parameter.

    It adds one number to all scores of a row, to which softmax is blind.
    """
    thirds = reference.thirds(name)
    fused = name in reference.fused and len(reference.parameters[name]) == 1
    return thirds[PARTS.index("key")] if fused else ""


# ---- parameters ---------------------------------------------------------------------------------


def _weights(
    candidate: CandidateOutline, reference: ReferenceOutline
) -> tuple[dict[str, Counterpart], list[tuple[dict[str, Counterpart], ...]]]:
    chosen, slots = _assigned(candidate, reference)
    layouts = _layouts(chosen, reference)
    weights: dict[str, Counterpart] = {}
    doubts: list[tuple[dict[str, Counterpart], ...]] = []
    for family, slot in chosen:
        why = _why(family, slot, slots, reference)
        turns = _turns(family, slot, reference)
        if len(turns) > 1 and family.members[0].owner in layouts:
            turns = [layouts[family.members[0].owner]]
        weights |= _filled_family(family, slot, turns[0], why)
        if len(turns) > 1:
            doubts.append(tuple(_filled_family(family, slot, t, "value") for t in turns))
    doubts += _orders(chosen, weights)
    for name, first in candidate.tied.items():
        if first in weights:
            weights.setdefault(name, weights[first])
    for family in _families(candidate, reference):
        first = family.members[0].name
        if first not in weights and (head := _second_head(family, reference)):
            weights[first] = head
    return weights, doubts


def _assigned(
    candidate: CandidateOutline, reference: ReferenceOutline
) -> tuple[list[tuple[Family, Slot]], list[Slot]]:
    """The cheapest assignment of the candidate's parameters to slots, and every slot."""
    families = list(_families(candidate, reference))
    slots = _slots(reference, {family.shape for family in families})
    cost = np.array(
        [
            [_cost(f, s, i / len(slots), reference) for i, s in enumerate(slots)]
            + [NOWHERE] * len(families)
            for f in families
        ]
    )
    # As many columns of NOWHERE as there are families: each may be left out, if need be.
    rows, columns = linear_sum_assignment(cost)
    pairs = zip(rows, columns, strict=True)
    return [(families[r], slots[c]) for r, c in pairs if c < len(slots)], slots


def _second_head(family: Family, reference: ReferenceOutline) -> Counterpart | None:
    """A matrix left over that has the embedding's shape is a head that the reference ties."""
    name = reference.head[1]
    shape = reference.parameters.get(name, ())
    if family.shape == shape:
        return Counterpart(name, why="shape")
    return Counterpart(name, transposed=True, why="shape") if family.shape == shape[::-1] else None


def _families(candidate: CandidateOutline, reference: ReferenceOutline) -> Iterator[Family]:
    """Parameters by block where their names tell, in the order of declaration."""
    own = [p for p in candidate.parameters if p.name not in candidate.tied]
    n_layer, known = reference.n_layer, _block_shapes(reference)
    by_template: dict[str, list[tuple[int, Parameter]]] = {}
    for parameter in own:
        for template, number in _templates(parameter.name):
            by_template.setdefault(template, []).append((number, parameter))
    done: set[str] = set()
    for place, parameter in enumerate(own):
        if parameter.name in done:
            continue
        template, members = parameter.name, [parameter]
        # Of the numbers in a name, the block's is the one that takes every value from the first
        # block to the last, at parameters of one shape that a block may have.
        for each, _ in _templates(parameter.name):
            group = sorted(by_template[each], key=lambda pair: pair[0])
            shapes = {p.shape for _, p in group}
            if len(group) == n_layer > 1 and len(shapes) == 1 and shapes <= known:
                template, members = each, [p for _, p in group]
                break
        done |= {p.name for p in members}
        rank = place / len(own)
        shape = members[0].shape
        stacked = len(members) == 1 < n_layer == shape[0] and shape[1:] in known
        yield Family(template, tuple(members), rank, stacked)


def _block_shapes(reference: ReferenceOutline) -> set[Shape]:
    """Shapes that a parameter of a block may have: whole or a third, as it is or transposed."""
    prefix = reference.block.format(layer=0) + "."
    shapes = set()
    for name, shape in reference.parameters.items():
        if name.startswith(prefix):
            small = (*shape[:-1], shape[-1] // len(PARTS))
            whole = {shape, small} if name in reference.fused else {shape}
            shapes |= whole | {each[::-1] for each in whole}
    return shapes


def _templates(name: str) -> Iterator[tuple[str, int]]:
    """The name with one of its numbers left out: those that index a list first, as `norm2.0` has.

    Args:
        name: of a parameter.
    """
    indices = list(re.finditer(r"(?<![^.])\d+(?![^.])", name))
    others = [n for n in re.finditer(r"\d+", name) if n.span() not in [i.span() for i in indices]]
    for found in (*indices, *others):
        yield f"{name[: found.start()]}{{}}{name[found.end() :]}", int(found[0])


def _slots(reference: ReferenceOutline, shapes: set[Shape]) -> list[Slot]:
    """Every parameter of the first block and of what lies outside, in the checkpoint's order.

    A fused parameter is one slot where the candidate has anything of its shape, else three.
    """
    first = reference.block.format(layer=0) + "."
    others = [reference.block.format(layer=i) + "." for i in range(1, reference.n_layer)]
    slots = []
    for name, shape in reference.parameters.items():
        if name.startswith(tuple(others)):
            continue
        template = name
        if name.startswith(first):
            template = f"{reference.block}.{name.removeprefix(first)}"
        if name not in reference.fused or {shape, shape[::-1]} & shapes:
            slots.append(Slot(template, shape))
        else:
            small = (*shape[:-1], shape[-1] // len(PARTS))
            slots += [Slot(template, small, part) for part in PARTS]
    return slots


def _layouts(chosen: list[tuple[Family, Slot]], reference: ReferenceOutline) -> dict[str, bool]:
    """By class of owner: whether its matrices are turned against the reference's.

    A matrix that is not square tells how its class lays out all of them.
    """
    votes: dict[str, set[bool]] = {}
    for family, slot in chosen:
        turns = _turns(family, slot, reference)
        if slot.layered and len(slot.shape) == 2 and len(turns) == 1:
            votes.setdefault(family.members[0].owner, set()).update(turns)
    return {owner: found.pop() for owner, found in votes.items() if len(found) == 1}


def _turns(family: Family, slot: Slot, reference: ReferenceOutline) -> list[bool]:
    """Whether the slot's matrix must be transposed for the family; two answers where both fit."""
    same, turned = family.shape == slot.shape, family.shape == slot.shape[::-1]
    if len(slot.shape) != 2 or not slot.layered:  # vectors; embeddings and the head: as they fit
        return [False] if same else [True] if turned and len(slot.shape) == 2 else []
    if family.members[0].linear:  # MAX's own Linear is laid out [out, in], square or not
        return [not reference.out_in] if (same if reference.out_in else turned) else []
    return [answer for answer, possible in ((False, same), (True, turned)) if possible]


def _cost(family: Family, slot: Slot, rank: float, reference: ReferenceOutline) -> float:
    layered = len(family.members) > 1 or family.stacked or reference.n_layer == 1
    if slot.layered and not layered:
        return IMPOSSIBLE
    if not slot.layered and (len(family.members) > 1 or family.stacked):
        return IMPOSSIBLE
    if not _turns(family, slot, reference):
        return IMPOSSIBLE
    if _same_path(family, slot):
        return SAME_PATH
    words = f"{slot.name} {slot.part}"
    return HIT * _affinity(family.template, words) + ORDER * (family.rank - rank) ** 2


def _same_path(family: Family, slot: Slot) -> bool:
    """Whether the candidate's own name is the reference's, but for a prefix."""
    own = family.members[0].name
    theirs = slot.name.format(layer=0)
    return not slot.part and (own == theirs or theirs.endswith(f".{own}"))


def _affinity(own: str, theirs: str) -> float:
    """Points for all in which two names agree, less those for what they contradict.

    Args:
        own: the candidate's name.
        theirs: the reference's, followed by a space and the third, if it is one.
    """
    mine, part = _tokens(own), theirs.rpartition(" ")[2]
    kind = "bias" if "bias" in theirs else "weight"
    score = 0.0
    for name, words in KINDS.items():
        if mine & words and not (mine & KINDS["weight"] and mine & KINDS["bias"]):
            score += SAME_KIND if name == kind else -SAME_KIND
    group = _tokens(theirs)
    for words in GROUPS:
        if mine & words:
            score += SAME_GROUP if group & words else -SAME_GROUP
    if part in PARTS:
        score += SAME_PART if mine & set(WORDS[part].split()) else 0
        score -= any(mine & set(WORDS[other].split()) for other in PARTS if other != part)
        return score
    role = next((r for r in WORDS if f".{r}." in f".{theirs.strip()}."), "")
    return score + (SAME_ROLE if mine & set(WORDS.get(role, "").split()) else 0)


def _tokens(name: str) -> set[str]:
    """The words of a name: `blocks.{}.attnNorm.w_q` has attn, norm, w, q; `wq` is w and q too."""
    named = ".".join(part for part in name.split(".") if not part.isdecimal())
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", named.replace("{layer}", "").replace("{}", " "))
    words = set(re.split(r"[^a-z0-9]+", spaced.lower())) - {""}
    for word in list(words):
        if found := re.fullmatch(r"(w|b|ln|norm|fc|lin|layer)_?(q|k|v|o|qkv|\d|f)", word):
            words |= {found[1], found[2]}
        if found := re.fullmatch(r"(\w*?)(layernorm|norm|embedding|embed|emb|proj)", word):
            words |= {found[1], found[2]} - {""}
    return words


def _why(family: Family, slot: Slot, slots: list[Slot], reference: ReferenceOutline) -> str:
    if _same_path(family, slot):
        return "path"
    possible = [s for s in slots if _cost(family, s, 0, reference) < IMPOSSIBLE]
    if len(possible) == 1:
        return "shape"
    best = _affinity(family.template, f"{slot.name} {slot.part}")
    others = [_affinity(family.template, f"{s.name} {s.part}") for s in possible if s != slot]
    return "name" if best > max(others) else "order"


def _filled_family(family: Family, slot: Slot, turned: bool, why: str) -> dict[str, Counterpart]:
    """Each member's counterpart."""
    names = [p.name for p in family.members]
    layers = ["*"] if family.stacked else range(len(names))
    return {
        name: Counterpart(slot.name.format(layer=layer), slot.part, turned, why)
        for name, layer in zip(names, layers, strict=True)
    }


def _orders(
    chosen: list[tuple[Family, Slot]], weights: Mapping[str, Counterpart]
) -> list[tuple[dict[str, Counterpart], ...]]:
    """Thirds whose names say nothing of query, key and value: any of six orders may be meant."""
    by_kind: dict[str, list[tuple[Family, Slot]]] = {}
    for family, slot in chosen:
        if slot.part:
            by_kind.setdefault(slot.name, []).append((family, slot))
    if not by_kind or any(
        weights[f.members[0].name].why == "name" for pairs in by_kind.values() for f, _ in pairs
    ):
        return []
    alternatives = []
    for order in itertools.permutations(PARTS):
        renamed = dict(zip(PARTS, order, strict=True))
        alternatives.append(
            {
                p.name: replace(weights[p.name], part=renamed[weights[p.name].part], why="value")
                for pairs in by_kind.values()
                for family, _ in pairs
                for p in family.members
            }
        )
    return [tuple(alternatives)]


def _checked(
    corrections: Mapping[str, Counterpart], candidate: CandidateOutline, reference: ReferenceOutline
) -> dict[str, Counterpart]:
    """Corrections of weights, if they name what is there and fit."""
    shapes = {p.name: p.shape for p in candidate.parameters}
    for own, counterpart in corrections.items():
        if own not in shapes:
            raise PairingError(f"--pairing: the candidate has no parameter {own}")
        if not counterpart.name:
            continue
        expected = _shape_of(counterpart, reference)
        if expected is None:
            raise PairingError(f"--pairing: the reference has no parameter {counterpart.name}")
        if expected != shapes[own]:
            raise PairingError(
                f"--pairing: {own} has shape {list(shapes[own])}; "
                f"{counterpart} has {list(expected)}"
            )
    return {own: c for own, c in corrections.items() if c.name}


def _shape_of(counterpart: Counterpart, reference: ReferenceOutline) -> Shape | None:
    name = counterpart.name.replace("*", "0")
    if name not in reference.parameters:
        return None
    shape = reference.parameters[name]
    if counterpart.part:
        shape = (*shape[:-1], shape[-1] // len(PARTS))
    shape = shape[::-1] if counterpart.transposed else shape
    return (reference.n_layer, *shape) if "*" in counterpart.name else shape
