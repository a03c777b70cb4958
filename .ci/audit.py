"""Known vulnerabilities of what requirements.lock names, by pip-audit; skipped without its service.

Exit codes: 0 none is known, or the service cannot be asked, which is said; 1 there are some.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
PIP_AUDIT = [
    sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes",
    "--disable-pip", "--format", "json", "--progress-spinner", "off",
]  # fmt: skip


def told(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code, and a line for each vulnerability and for the whole.

    Args:
        packages: what pip-audit says of each: `vulns`, or why it skipped it.
    """
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return 0, ["audit: skipped: the service that knows of vulnerabilities cannot be asked here"]
    lines = [
        f"audit: {package['name']} {package['version']}: {found['id']}, fixed in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for package in asked
        for found in package["vulns"]
    ]
    skipped = ", ".join(package["name"] for package in packages if package not in asked)
    missing = f"; nothing is known of {skipped}" if skipped else ""
    whole = f"audit: {len(lines)} known in {len(asked)} packages of requirements.lock{missing}"
    return int(bool(lines)), [*lines, whole]


def main() -> int:
    """Ask, and say what was answered."""
    done = subprocess.run(PIP_AUDIT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:  # it ended before it could answer
        packages = []
        print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "", file=sys.stderr)
    code, lines = told(packages)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
