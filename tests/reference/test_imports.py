"""Each side starts without the other's framework: no torch for checkpoints, no max for torch."""

import pytest

LOADED = """
import importlib, json, sys
for name in sys.argv[1].split():
    importlib.import_module(name)
packages = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted(packages & {"torch", "max", "transformers", "numpy"})))
"""

CHECKPOINTS = "reference.checkpoint reference.load reference.regimes reference.trace"


@pytest.mark.parametrize(
    ("modules", "loaded"),
    [
        (f"{CHECKPOINTS} reference.oracle", ["numpy"]),
        ("reference.huggingface", ["numpy", "torch", "transformers"]),
        ("impl.config impl.weights impl.sampling", ["numpy"]),
    ],
)
def test_importing_loads_these_frameworks_and_no_other(fresh_python, modules, loaded):
    assert fresh_python(LOADED, modules) == loaded


def test_loading_random_weights_and_tracing_them_loads_neither_framework(fresh_python):
    code = """
import json, sys
import numpy
from reference.load import load
from reference.oracle import Oracle
Oracle(load("random:tiny")).trace(numpy.zeros((1, 1), numpy.int64))
print(json.dumps(sorted({"torch", "max"} & sys.modules.keys())))
"""
    assert fresh_python(code) == []


def test_the_watch_on_imports_sees_max(fresh_python):
    assert "max" in fresh_python(LOADED, "max.dtype")
