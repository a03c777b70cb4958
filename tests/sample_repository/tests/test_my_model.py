"""The same from Python: a result with a verdict, and a table."""

import sys

from max_parity import check


def test_the_model_is_gpt2():
    result = check(
        "my_model.py:MyGPT2",
        quick=True,
        arguments=["--regimes", "given", "--lengths", "1,5", "--batch", "2"],
    )
    assert result, result
    assert result.first_divergence is None
    assert set(result.table["verdict"]) == {"PASS"}
    assert not {"max.driver", "torch"} & set(sys.modules)
