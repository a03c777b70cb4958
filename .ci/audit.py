"""Known vulnerabilities of what requirements.lock names, by pip-audit; skipped without its service.

Exit codes: 0 none is known, or the service cannot be reached, which is said; 1 there are some.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
UNREACHABLE = ("ConnectionError", "Failed to establish", "Max retries", "timed out", "ServiceError")


def main() -> int:
    """Ask, and say what was answered."""
    asked = ["--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *asked, "--progress-spinner", "off", *sys.argv[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and not done.stdout and any(sign in done.stderr for sign in UNREACHABLE):
        print("audit: skipped: the service that knows of vulnerabilities cannot be reached here")
        return 0
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
