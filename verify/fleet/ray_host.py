"""What is sent to a node as it is, since nobody knows yet whether the node has this code.

Functions and classes within functions are sent by value. Nothing of this repository is imported
before its folder on that node is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def probe() -> Callable[[str], dict[str, Any]]:
    """A function that says, on a node, where its copy of this code lies and what it works with."""

    def describe(drivers: str) -> dict[str, Any]:
        """Look in the driver's folder, on the path, and where `max-parity` is installed.

        Args:
            drivers: the folder of the code on the driver's machine.

        Returns:
            `folder` and what `verify.fleet.node_check.description` returns; or `problem`.
        """
        import importlib.util
        import sys
        from pathlib import Path

        installed = importlib.util.find_spec("max_parity")
        folders = [drivers, *sys.path]
        if installed and installed.origin:
            folders.append(str(Path(installed.origin).parent / "_code"))
        for folder in folders:
            if folder and (Path(folder) / "verify" / "fleet" / "node_check.py").is_file():
                break
        else:
            return {"problem": "this project's code is not there"}
        if sys.path[0] != folder:
            sys.path.insert(0, folder)
        try:
            from verify.fleet.node_check import description

            return {"folder": folder, **description()}
        except Exception as error:
            return {"problem": f"its code cannot be run: {type(error).__name__}: {error}"}

    return describe


def host() -> type:
    """The class of an actor that finds the code in its folder, and does units there."""

    class Host:
        """`verify.fleet.ray_worker.Worker`, on a node."""

        def __init__(self, folder: str, *arguments: Any) -> None:
            import sys

            if sys.path[0] != folder:
                sys.path.insert(0, folder)
            from verify.fleet.ray_worker import Worker

            self._worker = Worker(*arguments)

        def ready(self) -> None:
            """Return once this process is there."""

        def load(self) -> float:
            """Which share of the node's CPUs is at work."""
            return self._worker.load()

        def do(self, unit: dict[str, Any]) -> dict[str, Any]:
            """Do one unit."""
            return self._worker.do(unit)

    return Host
