"""Packages are found by folder or by name, and what is wrong with one is told in a sentence."""

import json
import sys

import pytest
from max.pipelines.lib.arch_lookup import ARCH_LOOKUP

from reports.commands import UsageError
from verify.candidate.guard import CandidateError
from verify.package.installed.found import asked_architecture, find, for_checkpoint, widen
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.opened import open_package

COPY = """
from dataclasses import replace
from max.pipelines.architectures.{0}.arch import {1} as built_in
architecture = replace(built_in{2})
ARCHITECTURES = [architecture]
"""


def package(folder, code=None, name="my_llama", built_in="llama3", arch="llama_arch", changed=""):
    """A package with this `__init__.py`; without code, a built-in with some fields changed."""
    made = folder / name
    made.mkdir()
    text = COPY.format(built_in, arch, changed) if code is None else code
    (made / "__init__.py").write_text(text)
    return made


def told(*arguments):
    """The sentence that finding this ends in."""
    with pytest.raises(CandidateError) as caught:
        find(*map(str, arguments))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_built_in_of_max_nn_is_found_by_its_name():
    found = find("LlamaForCausalLM")
    assert [each.name for each in found.architectures] == ["LlamaForCausalLM"]
    assert (found.v3, found.preferred, found.custom) == (False, False, None)
    assert found.folder.name == "llama3"


def test_a_built_in_of_the_experimental_api_is_v3():
    found = find("LlamaForCausalLM_ModuleV3")
    assert (found.v3, found.preferred) == (True, True)


def test_a_name_that_is_unknown_is_told_with_near_ones():
    assert "; did you mean LlamaForCausalLM or Llama4ForCausalLM or " in told("LlamaForCausalML")
    assert "did you mean GraniteForCausalLM" in told("granite")
    assert told("zzz").startswith("zzz is neither a folder nor an architecture of MAX 26")


def test_names_are_matched_exactly():
    assert "did you mean LlamaForCausalLM" in told("llamaforcausallm")


def test_a_folder_is_found_as_max_serve_takes_it(tmp_path):
    folder = package(tmp_path)
    found = find(str(folder))
    assert found.custom == str(folder)
    assert found.architecture is sys.modules["my_llama"].architecture
    assert not found.v3


def test_a_folder_is_also_taken_as_max_writes_it(tmp_path):
    package(tmp_path)
    assert find(f"{tmp_path}:my_llama").folder == tmp_path / "my_llama"


def test_v3_is_told_by_the_base_classes_of_a_folders_model(tmp_path):
    changed = ', name="LlamaForCausalLM"'
    folder = package(tmp_path, None, "own", "llama3_modulev3", "llama_modulev3_arch", changed)
    found = find(str(folder))
    assert (found.v3, found.preferred) == (True, False)


def test_a_package_takes_the_place_of_the_built_in_of_its_name(tmp_path, checkpoints):
    find("LlamaForCausalLM")
    found = find(str(package(tmp_path)))
    with evaluating():
        opened = open_package(checkpoints("llama3"), v3=found.preferred, custom=found.customs)
    assert opened.architecture is found.architecture


@pytest.mark.parametrize("name", ["reports", "bench", "verify", "impl", "reference"])
def test_a_folder_may_be_called_as_a_package_of_this_project_is(tmp_path, checkpoints, name):
    folder = package(tmp_path, "from .inner import ARCHITECTURES\n", name)
    (folder / "inner.py").write_text(COPY.format("llama3", "llama_arch", ""))
    found = find(str(folder))
    before = sys.modules["reports"], sys.modules["verify"]
    with evaluating():
        opened = open_package(checkpoints("llama3"), v3=found.preferred, custom=found.customs)
    assert opened.architecture is found.architecture
    assert before == (sys.modules["reports"], sys.modules["verify"])


def test_a_folder_called_so_that_names_itself_in_full_is_refused(tmp_path):
    folder = package(tmp_path, "from reports.inner import ARCHITECTURES\n", "reports")
    assert told(folder).endswith(
        "names itself in full, and reports is also a package of this project: rename the folder, "
        "or import with `from .model import ...`"
    )


def test_two_folders_of_one_name_are_two_packages(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (find(str(package(tmp_path / each))) for each in "ab")
    assert first.architecture is not second.architecture
    assert first.custom != second.custom


def test_a_name_that_max_would_import_from_elsewhere_is_refused(tmp_path):
    assert "which MAX imports in its place: rename the folder" in told(
        package(tmp_path, name="json")
    )
    assert "which MAX imports in its place: rename the folder" in told(
        package(tmp_path, name="torch")
    )


def test_a_folder_that_is_no_name_of_a_module_is_refused(tmp_path):
    assert told(package(tmp_path, name="my-llama")).endswith("'my-llama' is not a module's name")


def test_a_folder_that_is_not_there_and_a_file_are_told(tmp_path):
    assert told(tmp_path / "none").startswith("there is no folder ")
    (tmp_path / "arch.py").write_text("")
    assert told(tmp_path / "arch.py").endswith("a package is the folder with its __init__.py")


def test_the_folder_above_a_package_is_told_to_be_one_too_high(tmp_path):
    package(tmp_path)
    assert told(tmp_path).endswith(f"is {tmp_path / 'my_llama'} meant?")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("", "has no ARCHITECTURES in its __init__.py"),
        ("ARCHITECTURES = []", "is an empty list"),
        ("ARCHITECTURES = ()", "is a tuple; MAX takes a list"),
        ("ARCHITECTURES = [1]", "has an int in it; each is a SupportedArchitecture"),
        ("import sys; sys.exit(3)", "importing own calls sys.exit(3)"),
        ("import no_such_thing", "raises ModuleNotFoundError: No module named 'no_such_thing'"),
        ("def f(:", "raises SyntaxError: invalid syntax"),
        ("from max.driver import Accelerator; Accelerator()", "importing own raises "),
        (
            "import socket; socket.create_connection(('127.0.0.1', 9))",
            "importing own raises ConnectionRefusedError",
        ),
        ("raise KeyError('x')", "importing own raises KeyError: 'x'"),
        (COPY.format("llama3", "llama_arch", ", pipeline_model=None"), "is None, not a class"),
    ],
)
def test_what_a_package_does_at_import_is_one_sentence(tmp_path, code, sentence):
    assert sentence in told(package(tmp_path, code, "own"))


def test_where_it_happened_is_told_in_notes(tmp_path):
    folder = package(tmp_path, "from . import inner", "own")
    (folder / "inner.py").write_text("\n1 / 0\n")
    with pytest.raises(CandidateError) as caught:
        find(str(folder))
    assert caught.value.__notes__[-1] == "  inner.py:2 in <module>: 1 / 0"


def test_what_is_not_for_the_generation_of_text_is_refused(tmp_path):
    assert told("Flux2Pipeline").startswith("Flux2Pipeline is for pixel generation; only packages")
    code = "from max.pipelines.modeling.types import PipelineTask\n"
    code += COPY.format("llama3", "llama_arch", ", task=PipelineTask.EMBEDDINGS_GENERATION")
    folder = package(tmp_path, code)
    assert "is for embeddings generation; only packages for text" in told(folder)


def test_a_failed_import_of_a_built_in_can_be_tried_again(monkeypatch):
    lazy = {"Broken": [("no_such_module", "arch", None)]}
    monkeypatch.setattr(ARCH_LOOKUP, "_lazy_architectures", lazy)
    assert told("Broken") == told("Broken")


def test_a_checkpoint_of_another_architecture_is_told_with_both_names(checkpoints):
    with pytest.raises(CandidateError, match=r"asks for Qwen2ForCausalLM, and LlamaForCausalLM "):
        for_checkpoint(find("LlamaForCausalLM"), checkpoints("qwen2"))


def test_of_several_architectures_the_checkpoints_is_taken(tmp_path, checkpoints):
    code = COPY.format("llama3", "llama_arch", "")
    code += 'ARCHITECTURES.insert(0, replace(architecture, name="OtherForCausalLM"))\n'
    found = for_checkpoint(find(str(package(tmp_path, code))), checkpoints("llama3"))
    assert [each.name for each in found.architectures] == ["LlamaForCausalLM"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no config.json"),
        ({"config.json": "{"}, "cannot be read"),
        ({"config.json": "[]"}, "is not a JSON object"),
        ({"config.json": "{}"}, "names no architecture"),
        ({"config.json": json.dumps({"architectures": ["A"]})}, "has no weights"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_told(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=sentence):
        asked_architecture(tmp_path)


def test_a_checkpoint_that_is_not_there_or_a_file_is_told(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        asked_architecture(tmp_path / "none")
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(UsageError, match="is a file: --model takes the folder that it is in"):
        asked_architecture(tmp_path / "model.safetensors")


def test_a_package_of_16_bits_alone_is_widened_and_says_so(tmp_path, checkpoints):
    code = COPY.format("llama3", "llama_arch", ", config=Narrow, supported_encodings={'bfloat16'}")
    narrow = "from max.pipelines.architectures.llama3.model_config import Llama3Config\n"
    narrow += "class Narrow(Llama3Config):\n    SUPPORTED_ENCODINGS = {'bfloat16'}\n"
    found = widen(find(str(package(tmp_path, narrow + code))), "float32")
    assert found.widened
    assert found.note == (
        "LlamaForCausalLM declares bfloat16: float32, which the checkpoint has, was added so that "
        "its mathematics can be evaluated"
    )
    assert {"bfloat16", "float32"} == found.architecture.config.SUPPORTED_ENCODINGS
    with evaluating():
        opened = open_package(checkpoints("llama3"), v3=False, custom=found.customs)
    assert opened.architecture is found.architecture


def test_a_package_that_declares_float32_is_left_as_it_is():
    found = find("LlamaForCausalLM")
    assert widen(found, "float32") is found
