"""Models of `tests/verify/models` in a folder of a user's, verified on few tokens."""

import shutil
from pathlib import Path

import pytest

from verify.api import check

MODELS = Path(__file__).parents[1] / "models"
FEW = ["--regimes", "given", "--lengths", "1,3", "--batch", "1"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model that is right, one whose GELU is not, and files that bear our names."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("own_names.py", "gelu_erf.py"):
        shutil.copy(MODELS / name, folder)
    (folder / "broken.py").write_text("def model(config):\n    raise ValueError('no, thanks')\n")
    for name in ("reference", "verify", "bench", "reports"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('a package of the user')\n")
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Where runs go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_PARITY_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session")
def right(folder, runs):
    """The result of a model that is right."""
    return check("own_names.py:MyGPT", quick=True, arguments=FEW, folder=folder)


@pytest.fixture(scope="session")
def wrong(folder, runs):
    """The result of one whose GELU is another."""
    return check("gelu_erf.py:model", quick=True, arguments=FEW, folder=folder)
