"""Checkpoints that are drawn once for all tests of packages."""

import pytest

from tests.verify.package.checkpoints import draw


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The folder of a tiny checkpoint by its name in `checkpoints.TINY`."""
    drawn = {}

    def folder(name):
        if name not in drawn:
            drawn[name] = draw(name, tmp_path_factory.mktemp("package") / "checkpoint")
        return drawn[name]

    return folder
