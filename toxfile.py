"""A tox runner whose environments share one virtual environment.

torch and MAX take 3 GB and over a minute to install. tox 4 gives each environment its own folder
and rebuilds a shared ``env_dir`` whenever the environment's name changes. Here every environment
of tox.ini has the same dependencies, so the name is left out of that comparison.

It answers in one sentence where tox runs on a Python that the dependencies are not there for, and
finds pyenv's interpreters for ``-e py313``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tox.plugin import impl
from tox.tox_env.errors import Fail
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tox.tox_env.python.api import PythonInfo
    from tox.tox_env.register import ToxEnvRegister

OLDEST, NEWEST = (3, 11), (3, 13)
"""Of Python, as pyproject.toml has them."""


class NamelessInfo(Info):
    """tox's record of how an environment was made, less the environment's name."""

    @contextmanager
    def compare(
        self, value: Any, section: str, sub_section: str | None = None
    ) -> Iterator[tuple[bool, Any | None]]:
        """Compare as tox does, with the name taken out of the value."""
        if isinstance(value, dict) and "name" in value:
            value = {**value, "name": "shared"}
        with super().compare(value, section, sub_section) as result:
            yield result


class SharedVirtualEnv(VirtualEnvRunner):
    """The usual virtual environment runner, willing to share its folder."""

    @staticmethod
    def id() -> str:
        """The name used by ``runner =`` in tox.ini."""
        return "shared-virtualenv"

    @property
    def base_python(self) -> PythonInfo:
        """The interpreter that the environment is made with.

        Raises:
            Fail: for a Python that MAX or torch cannot be installed for, before pip finds out.
        """
        found = super().base_python
        version = found.version_info[:2]
        if not OLDEST <= version <= NEWEST:
            raise Fail(
                f"Python 3.11 to 3.13 is needed, and tox runs on {version[0]}.{version[1]}: "
                "install tox for one of them, and run it as in `python3.13 -m tox`"
            )
        return found

    @property
    def cache(self) -> Info:
        """The record kept in the shared folder."""
        return NamelessInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runner known to tox, and pyenv's interpreters."""
    register.add_run_env(SharedVirtualEnv)
    _look_into_pyenv()


def _look_into_pyenv() -> None:
    """Search its versions last: of its shims on the PATH only those switched on start anything."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = sorted(root.glob("versions/3.*/bin"), reverse=True)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
