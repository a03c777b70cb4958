"""A pairing as rows: blocks together, in the candidate's order, nothing lost."""

from verify.pairing.counterpart import Counterpart, Pairing
from verify.pairing.table import loose_together, pairing_line, pairing_record, together


def block(layer, why="name"):
    """Entries of a block."""
    path = f"transformer.h.{layer}"
    return {
        f"layers.{layer}.norm1.weight": Counterpart(f"{path}.ln_1.weight", why="name"),
        f"layers.{layer}.q.weight": Counterpart(f"{path}.attn.c_attn.weight", "query", True, why),
        f"layers.{layer}.norm2.weight": Counterpart(f"{path}.ln_2.weight", why="name"),
    }


WEIGHTS = {"tok": Counterpart("transformer.wte.weight", why="shape")} | block(0) | block(1)


def test_blocks_are_one_row_in_the_candidates_order():
    rows = together(WEIGHTS)
    assert list(rows) == [
        "tok", "layers.{layer}.norm1.weight", "layers.{layer}.q.weight",
        "layers.{layer}.norm2.weight",
    ]  # fmt: skip
    query = rows["layers.{layer}.q.weight"]
    assert str(query) == "transformer.h.{layer}.attn.c_attn.weight [query] transposed"
    assert query.why == "name"


def test_a_block_that_was_paired_otherwise_has_a_row_of_its_own():
    rows = together(block(0, "order") | block(1) | block(2))
    assert rows["layers.0.q.weight"].why == "order"
    assert rows["layers.{layer}.q.weight"].why == "name"


def test_modules_without_a_counterpart_are_counted_together():
    loose = {"h.0.drop": "it passes on", "h.1.drop": "it passes on", "other": "is not called"}
    assert loose_together(loose) == {
        "h.{n}.drop (2 of them)": "it passes on", "other": "is not called",
    }  # fmt: skip


def test_the_record_says_how_each_was_found_and_whether_it_is_transposed():
    record = pairing_record(Pairing(WEIGHTS, {}, {"drop": "passes on"}, ("lm_head.weight",)))
    assert record["weights"][0] == {
        "own": "tok", "theirs": "transformer.wte.weight", "part": "", "transposed": False,
        "by": "shape",
    }  # fmt: skip
    assert [row["transposed"] for row in record["weights"]] == [False, False, True, False]
    assert record["loose"] == [{"name": "drop", "reason": "passes on"}]
    assert record["unheld"] == ["lm_head.weight"]


def test_the_line_in_the_terminal_counts_what_was_found_and_how():
    line = pairing_line(Pairing(WEIGHTS, {}, {"drop": "passes on"}, ("lm_head.weight",)))
    assert line == (
        "Pairing: 7 parameters by name, shape; 2 transposed; 1 without counterpart; not held: "
        "lm_head.weight"
    )
