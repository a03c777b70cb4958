"""What a package imports from MAX and MAX does not have is told with where it is today."""

import pytest

from verify.package.installed.moved import (
    INSTEAD,
    MODULES,
    Missing,
    exists,
    instead_of,
    missing_attributes,
    missing_imports,
)


@pytest.mark.parametrize("sentence", INSTEAD.values())
def test_what_is_to_be_written_instead_is_there(sentence):
    words = [word for word in sentence.split("`")[1::2] if word.startswith("max.")]
    for word in words:
        module, _, name = word.rpartition(".")
        assert exists(module, name), word


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_said_to_be_gone_is_gone(name):
    module, _, last = name.rpartition(".")
    homes = (module,) if module else ("max.nn.kv_cache", "max.pipelines.lib", "max.pipelines")
    assert not any(exists(home, last) for home in homes)


@pytest.mark.parametrize(("old", "new"), MODULES.items())
def test_a_module_that_has_moved_is_where_it_is_said_to_be(old, new):
    assert not exists(old)
    assert exists(new)


@pytest.mark.parametrize(
    ("module", "name", "sentence"),
    [
        ("max.nn.module_v3", "", "now `max.experimental.nn`"),
        ("max.interfaces", "PipelineTask",
         "now `from max.pipelines.modeling.types import PipelineTask`"),
        ("max.pipelines.kv_cache", "KVCacheParams", ("now `from max.nn.kv_cache import "
         "KVCacheParams`")),
        ("max.nn.kv_cache", "load_kv_manager",
         "now `from max.pipelines.kv_cache import load_kv_manager`"),
        ("max.driver", "Tensor", "write `max.driver.Buffer`"),
        ("max.nn", "LinearV1", "nearest: `max.nn.Linear`"),
        ("max.pipelines.lib", "parse_float8_config",
         "nearest: `max.pipelines.lib.parse_quant_config`"),
        ("max.nn", "zzz_nothing_is_like_it", ""),
    ],
)  # fmt: skip
def test_where_a_name_is_today_is_read_from_maxs_own_files(module, name, sentence):
    assert not exists(module, name)
    assert instead_of(module, name) == sentence


def test_what_is_there_is_not_missing(tmp_path):
    (tmp_path / "a.py").write_text(
        "import max.graph\nfrom max.graph import ops, Graph\nfrom max import nn\n"
        "from max.pipelines.lib import *\nx = ops.add, nn.Linear\n"
    )
    assert missing_imports(tmp_path) == []
    assert missing_attributes(tmp_path) == []


def test_imports_for_type_checkers_and_those_that_may_fail_are_passed_over(tmp_path):
    (tmp_path / "a.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from max.never import A\n"
        "try:\n    from max.never import B\nexcept ImportError:\n    pass\n"
        "def later():\n    from max.never import C\n"
    )
    assert [(each.name, each.line) for each in missing_imports(tmp_path)] == [("C", 9)]


def test_operations_that_max_does_not_have_are_named_with_the_nearest(tmp_path):
    (tmp_path / "a.py").write_text("from max.graph import ops\n\ny = ops.layer_norms(1)\n")
    assert missing_attributes(tmp_path) == [
        Missing("a.py", 3, "max.graph", "ops.layer_norms", "nearest: `ops.layer_norm`")
    ]


def test_a_file_that_is_no_python_is_left_to_the_import(tmp_path):
    (tmp_path / "a.py").write_text("from max.never import (")
    assert missing_imports(tmp_path) == []
