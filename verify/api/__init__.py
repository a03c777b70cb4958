"""What a user's own code and tools take of this project: the package `max_parity`, once installed.

    from max_parity import check

    result = check("my_model.py:MyGPT2", model="tiny", quick=True)
    assert result, result

Nothing here imports MAX or torch, or the five folders: whatever judges runs in a process of its
own, whose modules a user's can then not hide. Imports within this room are relative, because it
goes by two names: `verify.api` in a clone, `max_parity` where it is installed.

harness        how a process of the harness is started: its command and its environment
launcher       the command `max-parity`
tree           its words, in a line each
ask            `check`: one verification
judgement      what it returns
pytest_plugin  `pytest --max-parity FILE.py:NAME`
pytest_items   its tests: one for each place of the model, and one for all else
"""

from .ask import check
from .judgement import Divergence, MaxParityError, Result

__all__ = ["Divergence", "MaxParityError", "Result", "check"]
