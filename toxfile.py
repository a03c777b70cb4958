"""A tox runner whose environments share one virtual environment.

torch and MAX take 3 GB and over a minute to install. tox 4 gives each environment its own folder
and rebuilds a shared ``env_dir`` whenever the environment's name changes. Here every environment
of tox.ini has the same dependencies, so the name is left out of that comparison.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tox.plugin import impl
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tox.tox_env.register import ToxEnvRegister


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
    def cache(self) -> Info:
        """The record kept in the shared folder."""
        return NamelessInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Make the runner known to tox."""
    register.add_run_env(SharedVirtualEnv)
