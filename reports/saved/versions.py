"""`--version`: which version of this tool, on which MAX and which PyTorch. Neither is imported."""

from __future__ import annotations

from reports.saved.environment import NAME, own_version, package_version


def version_line() -> str:
    """One line: `max-parity 0.1.0, MAX 26.7.0, PyTorch 2.13.0`."""
    found = {"MAX": package_version("max"), "PyTorch": package_version("torch")}
    others = (f"{name} {version or 'not installed'}" for name, version in found.items())
    return ", ".join([f"{NAME} {own_version() or 'unknown'}", *others])
