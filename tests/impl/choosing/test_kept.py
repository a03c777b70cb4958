"""What was measured is kept for this CPU, this shape of model, this MAX and these kernels."""

from dataclasses import replace

import pytest

from impl.choosing import kept as kept_choices
from impl.choosing.kept import Measured, fastest_here, file_of, keep, kept
from impl.config import GPT2Config

CONFIG = GPT2Config(n_layer=2, n_head=2, n_embd=8, n_positions=16, vocab_size=11)
FOUND = Measured(
    kernels="mojo-avx2", decode={"stock": 2.0}, prefill={"stock": 1.5}, when="2026-11-30T12:00:00"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MODULAR_DERIVED_PATH", str(tmp_path))
    return tmp_path


def test_what_is_kept_is_found_again_with_its_reason():
    assert kept(CONFIG) is None
    assert fastest_here(CONFIG) is None
    keep(CONFIG, FOUND)
    assert kept(CONFIG) == FOUND
    said = "measured here: decode and prefill 2.00 and 1.50 times as fast as stock"
    assert fastest_here(CONFIG) == ("mojo-avx2", said)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("cpu_model", lambda: "another CPU"),
        ("all_flags", lambda: ["avx"]),
        ("usable_cpus", lambda: [0] * 99),
        ("version", lambda _: "26.8.0"),
        ("source_sha256", lambda _: "other"),
    ],
)
def test_another_machine_max_or_kernels_have_not_been_measured(monkeypatch, name, other):
    keep(CONFIG, FOUND)
    monkeypatch.setattr(kept_choices, name, other)
    assert kept(CONFIG) is None


def test_other_sizes_have_not_been_measured_but_other_lengths_have():
    keep(CONFIG, FOUND)
    assert kept(replace(CONFIG, n_layer=3)) is None
    assert kept(replace(CONFIG, n_positions=32)) == FOUND


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kernels": "mojo"}', '{"kernels": 1, "decode": {}}', "\udc80"]
)
def test_a_file_that_is_not_a_choice_is_none(text):
    file = keep(CONFIG, FOUND)
    file.write_text(text, errors="surrogateescape")
    assert kept(CONFIG) is None


def test_kernels_that_are_not_there_are_not_taken():
    keep(CONFIG, replace(FOUND, kernels="cuda"))
    assert kept(CONFIG) is None


def test_it_lies_in_the_cache_of_max(folder):
    assert file_of(CONFIG).parent.parent == folder
