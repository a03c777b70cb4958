"""`pytest --max-parity`: each place is a test, and without it there is nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from impl.config import PRESETS
from verify.api.pytest_items import ELSE
from verify.places import places_of_gpt2

ROOT = Path(__file__).parents[3]
FEW = ["--regimes", "given", "--lengths", "1,3", "--batch", "1"]
QUICK = ["--max-parity-quick", *(f"--max-parity-arg={word}" for word in FEW)]


def run_pytest(folder, *words, plugin="verify.api.pytest_plugin"):
    """Pytest in a folder, as it is where the plugin is installed."""
    source = f"import sys; sys.path.append({str(ROOT)!r}); import pytest; sys.exit(pytest.main())"
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))
    }
    # The folder has packages of our names, which pytest's own process has first on its path.
    return subprocess.run(
        [sys.executable, "-P", "-c", source, "-p", plugin, "-p", "no:cacheprovider", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_tests_are_the_places_in_order_of_execution_without_a_run(folder, runs):
    done = run_pytest(folder, "--max-parity", "nowhere.py:Model", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout
    found = [line for line in done.stdout.splitlines() if "::" in line]
    places = places_of_gpt2(PRESETS["tiny"])
    assert found == [f"max_parity::{name}" for name in (*places, ELSE)]


def test_a_model_with_other_blocks_has_other_places(folder, runs):
    done = run_pytest(folder, "--max-parity", "own_names.py:MyGPT", "--max-parity-model",
                      "random:gpt2", "--collect-only", "-q")  # fmt: skip
    assert "max_parity::transformer.h.11.mlp.act" in done.stdout


def test_a_model_that_is_right_passes_and_what_it_has_no_module_for_is_skipped(folder, runs):
    done = run_pytest(folder, "--max-parity", "own_names.py:MyGPT", *QUICK, "-rs")
    assert done.returncode == 0, done.stdout
    passed, skipped = map(int, re.search(r"(\d+) passed, (\d+) skipped", done.stdout).groups())
    assert passed + skipped == len(places_of_gpt2(PRESETS["tiny"])) + 1
    assert ": checked at the next visible tap" in done.stdout
    assert "PASS, not compiled: own_names.py:MyGPT, tiny" in done.stdout


def test_the_broken_place_fails_with_its_diagnosis_and_the_others_pass(folder, runs):
    done = run_pytest(folder, "--max-parity", "gelu_erf.py:model", *QUICK)
    assert done.returncode == 1
    failed = re.findall(r"^FAILED max_parity::(\S+)", done.stdout, re.MULTILINE)
    assert failed == ["transformer.h.3.mlp.act", ELSE]
    assert "Diagnosis: h.3.mlp.act: found 0.5 x (1 + erf(x / sqrt(2)))" in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest_items.py" not in done.stdout


def test_tests_are_chosen_and_stopped_as_others_are(folder, runs):
    done = run_pytest(folder, "--max-parity", "gelu_erf.py:model", *QUICK, "-k", "h.3.mlp", "-x")
    assert re.search(r"1 failed, \d passed, 12\d deselected", done.stdout)
    assert "stopping after 1 failures" in done.stdout


def test_without_a_verdict_each_is_an_error_and_the_reason_is_told_once(folder, runs):
    done = run_pytest(folder, "--max-parity", "broken.py:model", *QUICK, "-k", "h.0.mlp")
    assert done.returncode == 1
    assert "123 deselected, 8 errors" in done.stdout
    assert done.stdout.count("\nmodel(config) raises ValueError: no, thanks") == 1
    assert "no verdict, as max_parity::transformer.h.0.mlp:input says" in done.stdout


def test_a_model_that_is_not_there_is_bad_usage(folder, runs):
    done = run_pytest(
        folder, "--max-parity", "own_names.py:MyGPT", "--max-parity-model", "no/no/no"
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --max-parity: 'no/no/no' is neither a folder nor a hub id" in done.stderr


@pytest.fixture
def project(folder, tmp_path):
    """A repository that asks for it in its pyproject.toml, with a test of its own."""
    (tmp_path / "gelu_erf.py").write_text((folder / "gelu_erf.py").read_text())
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n"
        "    assert not {'torch', 'max.graph', 'verify.cli'} & set(sys.modules)\n"
    )
    words = ", ".join(f'"{word}"' for word in FEW)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nmax_parity = "gelu_erf.py:model"\nmax_parity_quick = true\n'
        f"max_parity_args = [{words}]\naddopts = ['--strict-config']\n"
    )
    return tmp_path


def test_the_configuration_asks_for_it_wherever_pytest_is_called(project, runs):
    done = run_pytest(project / "inner", "-k", "mlp.act or own")
    assert re.search(r"FAILED \S*max_parity::transformer.h.3.mlp.act", done.stdout), done.stdout
    assert re.search(r"1 failed, \d+ passed", done.stdout)


def test_the_command_line_can_leave_it_out(project, runs):
    done = run_pytest(project, "--max-parity", "off")
    assert done.returncode == 0
    assert "1 passed" in done.stdout


def test_where_it_is_not_asked_for_nothing_of_it_is_loaded(project, runs):
    (project / "inner" / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n    assert 'verify.api.pytest_items' not in sys.modules\n"
    )
    done = run_pytest(project, "--max-parity", "off")
    assert "1 passed" in done.stdout
