"""Arms are known by name, and nothing of them is imported until they run."""

import os
import subprocess
import sys

import pytest

from bench.arms.specs import (
    ARMS,
    BASELINE,
    baseline_of,
    labels_of,
    null_pair,
    own_of,
    spec_of,
    with_null,
)

PROGRAM = """
import sys
import bench.cli, bench.commands.run, bench.worker.__main__
print(*(name for name in ("max", "torch", "transformers") if name in sys.modules))
"""


def test_the_parent_loads_neither_max_nor_torch():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_a_worker_loads_the_standard_library_alone_before_its_cpus_are_set():
    program = "import sys, bench.worker.__main__; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_an_arm_that_runs_twice_has_two_labels_and_one_spec():
    assert labels_of(["torch", "max", "torch"]) == ["torch", "max", "torch#2"]
    assert spec_of("torch#2") is ARMS["torch"]


def test_the_max_model_is_what_has_to_be_verified_and_the_baseline_is_not():
    assert ARMS["max"].candidate
    assert not ARMS[BASELINE].candidate


@pytest.mark.parametrize("spec", ARMS.values())
def test_adapters_are_named_by_module_and_class(spec):
    module, _, name = spec.adapter.partition(":")
    assert module.startswith("bench.arms.")
    assert name.isidentifier()


def test_every_run_has_an_arm_that_runs_against_itself():
    assert with_null(["max", "torch"]) == ["max", "torch", "torch#2"]
    assert with_null(["max"]) == ["max", "max#2"]
    assert with_null(["max", "max#2"]) == ["max", "max#2"]
    assert null_pair(["max", "torch", "torch#2"]) == ("torch#2", "torch")


def test_torch_is_the_baseline_where_it_takes_part():
    assert baseline_of(["max", "torch"]) == "torch"
    assert baseline_of(["openvino", "max"]) == "openvino"


def test_a_named_baseline_goes_first_where_it_takes_part():
    assert baseline_of(["max", "torch"], "max") == "max"
    assert baseline_of(["max", "torch"], "openvino") == "torch"
    assert with_null(["max", "torch"], "max") == ["max", "torch", "max#2"]


def test_a_run_answers_about_max_and_without_it_about_the_baseline():
    assert own_of(["torch", "max"], "torch") == "max"
    assert own_of(["openvino", "torch"]) == "torch"
    assert own_of(["openvino", "torch"], "openvino") == "openvino"
