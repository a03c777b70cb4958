"""The contract with MAX Serve: what of it has moved since this package was written for it."""

import ast
import shutil
from pathlib import Path

import pytest

from verify.package.installed.moved import max_imports, missing_attributes, missing_imports

FOLDER = Path(__file__).parents[3] / "impl" / "serving"
ELSEWHERE = {
    "max", "max.driver", "max.dtype", "max.experimental", "max.experimental.nn",
    "max.experimental.tensor", "max.graph", "max.graph.weights",
}  # fmt: skip
"""Modules that the rest of this repository stands on too; the other files may import these."""


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "serving"))


def test_nothing_that_is_used_has_moved():
    missing = [*missing_imports(FOLDER), *missing_attributes(FOLDER)]
    assert not missing, "\n".join(map(str, missing))


def test_what_moves_between_versions_is_imported_in_one_file():
    others = {
        (file.name, module)
        for file in FOLDER.glob("*.py")
        if file.name != "max_interfaces.py"
        for _, module, _ in max_imports(file)
        if module not in ELSEWHERE
    }
    assert not others


def test_all_that_is_imported_there_is_handed_on():
    tree = ast.parse((FOLDER / "max_interfaces.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    from impl.serving import max_interfaces

    handed_on = set(max_interfaces.__all__)
    assert imported - handed_on == {"_select_quantization_encoding"}  # `encoding_of`
    assert handed_on - imported == {"encoding_of"}


def test_a_name_of_an_older_max_is_found_with_what_to_write(copy):
    file = copy / "max_interfaces.py"
    file.write_text(
        file.read_text().replace("    KVCacheInputs,\n", "    KVCacheInputsInterface,\n")
    )
    (missing,) = missing_imports(copy)
    assert "KVCacheInputsInterface" in str(missing)
    assert "write `max.nn.kv_cache.KVCacheInputs`" in str(missing)
