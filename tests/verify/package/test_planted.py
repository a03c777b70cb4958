"""Every fault that is planted in a copy of a correct package is found, by the right answer.

The configuration's answer is left out here: it takes longer, and has tests of its own.
"""

from functools import cache

import pytest

from tests.verify.package.packages import custom_package
from tests.verify.package.planted import PLANTED
from verify.package.answers import PackagePlan, verify_package
from verify.package.installed.found import find, for_checkpoint, widen
from verify.package.reading.drawn import draw

MODES = {"preflight": ("preflight",), "weights": ("checkpoint",),
         "mathematics": ("math", "math-free", "math-served")}  # fmt: skip
"""The checks of each answer."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    @cache
    def folder(architecture):
        made = tmp_path_factory.mktemp("drawn") / architecture
        draw(architecture, made)
        return made

    return folder


def outcome_of(package, folder, *answers):
    found = widen(for_checkpoint(find(str(package)), folder), "float32")
    return verify_package(PackagePlan(found=found, folder=folder, quick=True, answers=answers))


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.id)
def test_a_planted_fault_is_found_by_the_right_answer_at_the_right_place(fault, drawn, tmp_path):
    name, architecture = fault.base
    package = custom_package(tmp_path, name, v3=fault.v3, edits=[fault.edit])
    outcome = outcome_of(package, drawn(architecture), fault.answer)
    failed = [c for c in outcome.checks if c.verdict == "FAIL" and c.mode in MODES[fault.answer]]
    assert failed, f"{fault.id}: {outcome.answers}"
    first = failed[0] if fault.answer != "mathematics" else outcome.earliest(failed)
    assert fault.blamed in f"{first.tap} {first.message}"


@pytest.mark.parametrize(("name", "architecture", "v3"), [
    ("llama3", "LlamaForCausalLM", True), ("llama3", "LlamaForCausalLM", False),
    ("olmo2", "Olmo2ForCausalLM", True),
])  # fmt: skip
def test_a_copy_without_a_fault_is_right(name, architecture, v3, drawn, tmp_path):
    package = custom_package(tmp_path, name, v3=v3)
    assert outcome_of(package, drawn(architecture), "weights", "mathematics").verdict == "PASS"
