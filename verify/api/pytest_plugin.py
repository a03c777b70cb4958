"""`pytest --max-parity FILE.py:NAME`: each place of the model as a test.

Where it is not asked for, nothing but these options is there.

    [tool.pytest.ini_options]
    max_parity = "my_model.py:MyGPT2"
    max_parity_quick = true
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

OFF = "off"
"""In place of a candidate on the command line: not this time, whatever the configuration says."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is verified, and how; each option has its name in the configuration too."""
    group = parser.getgroup("max-parity", "a model in MAX beside PyTorch's, a test for each place")
    add = group.addoption
    add("--max-parity", metavar="FILE.py:NAME", help=f"the model to verify; or {OFF}")
    add("--max-parity-model", metavar="MODEL", help="the GPT-2 to compare with (tiny)")
    add("--max-parity-reference", metavar="hf:FOLDER", help="another decoder to compare with")
    add("--max-parity-quick", action="store_true", default=None, help="its mathematics alone")
    add("--max-parity-arg", metavar="ARG", action="append", help="an option of max-parity verify")
    parser.addini("max_parity", "FILE.py:NAME, from the folder of this configuration")
    parser.addini("max_parity_model", "the GPT-2 to compare with", default="tiny")
    parser.addini("max_parity_reference", "another decoder to compare with: hf:FOLDER", default="")
    parser.addini("max_parity_quick", "its mathematics alone", type="bool", default=False)
    parser.addini("max_parity_args", "options of max-parity verify", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Add the tests where they are asked for."""
    candidate = config.getoption("--max-parity") or config.getini("max_parity")
    if candidate and candidate != OFF:
        from .pytest_items import Parity

        config.pluginmanager.register(Parity.of(config, candidate), "max-parity-places")
