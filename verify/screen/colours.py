"""Colours of verdicts, and of shares of the allowed error. Nothing is said by colour alone."""

from __future__ import annotations

STYLES = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold red", "SKIP": "yellow"}
"""Colours of verdicts; UNDERPOWERED is yellow too."""

WRONG = "bold white on red"

SHARES = ((0.5, "green"), (0.75, "yellow"), (1.0, "bold yellow"))
"""Colours of shares of the allowed error, each up to a largest one."""


def of_verdict(verdict: str) -> str:
    """The colour of a verdict."""
    return STYLES.get(verdict, "yellow")


def of_share(share: float) -> str:
    """The colour of a share of the allowed error, from 0 to 1."""
    return next((style for most, style in SHARES if share <= most), WRONG)
