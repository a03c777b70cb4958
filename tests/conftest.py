"""What holds for every test."""

import pytest


@pytest.fixture(autouse=True)
def _no_step_summary(monkeypatch):
    """Runs that tests make do not belong into the summary of the CI's own step."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
