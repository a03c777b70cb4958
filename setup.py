"""What the wheel holds: the five folders under one name, so that no generic name is installed.

`max_parity` is `verify/api`; `verify`, `impl`, `reference`, `bench` and `reports` lie in
`max_parity/_code`, which is on the path of the tool's own processes alone. All else is in
pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

FOLDERS = ("impl", "reference", "verify", "bench", "reports")
WITHIN = "max_parity._code"
NOT_SHIPPED = (
    "reports.runs*",
    "reports.latest*",
    "reports.published*",
    "verify.steps.book*",  # read where it lies, or as a site
    "*__pycache__*",
)
PINS = ("requirements-peers.txt", "constraints.txt")
"""What `max-parity bench peers` installs from."""


class WithPins(build_py):
    """Puts the pins next to the five folders."""

    def run(self) -> None:
        """Build as ever, and copy them."""
        super().run()
        if not self.editable_mode:
            for name in PINS:
                self.copy_file(name, str(Path(self.build_lib, *WITHIN.split("."), name)))

    def get_source_files(self) -> list[str]:
        """What a source distribution holds."""
        return [*super().get_source_files(), *PINS]


packages = [
    name
    for folder in FOLDERS
    for name in find_namespace_packages(include=[folder, f"{folder}.*"], exclude=NOT_SHIPPED)
]
setup(
    packages=["max_parity", *(f"{WITHIN}.{name}" for name in packages)],
    package_dir={"max_parity": "verify/api", **{f"{WITHIN}.{name}": name for name in FOLDERS}},
    package_data={f"{WITHIN}.{name}": ["*"] for name in packages},
    exclude_package_data={"": ["*.png", "*.pyc"]},
    cmdclass={"build_py": WithPins},
)
