"""What a package raises while its model is made is one sentence with the place in its code."""

import pytest
import transformers

from verify.candidate.guard import CandidateError
from verify.graph.errors import GraphError, UnknownOperationError
from verify.package.installed.failing import BeyondError, told
from verify.package.installed.found import find


def sentence(folder, error):
    """The sentence for what is raised."""
    with pytest.raises(CandidateError) as caught, told("it", find("LlamaForCausalLM"), folder):
        raise error
    return str(caught.value)


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "config.json").write_text('{"here": 1, "part": {"inside": 2}}')
    return tmp_path


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no"), "it raises ValueError: no"),
        (SystemExit(4), "it calls sys.exit(4)"),
        (GraphError("mo.foo is not known"), "it: mo.foo is not known"),
        (KeyError("gone"), "config.json has no `gone`, which the package reads"),
        (KeyError("inside"), "config.json has no `inside` but in `part`, which the package reads"),
        (KeyError("model.layers.0.weight"), "it raises KeyError: 'model.layers.0.weight'"),
        (KeyError("here"), "it raises KeyError: 'here'"),
        (
            AttributeError(name="here", obj=transformers.LlamaConfig()),
            (
                f"transformers {transformers.__version__}'s LlamaConfig has no `here`, which the "
                "package reads"
            ),
        ),
    ],
)
def test_what_is_raised_is_said(checkpoint, error, expected):
    assert sentence(checkpoint, error) == expected


def test_what_the_harness_cannot_evaluate_is_told_apart(checkpoint):
    with pytest.raises(BeyondError, match=r"it: mo\.foo"):  # noqa: SIM117
        with told("it", find("LlamaForCausalLM"), checkpoint):
            raise UnknownOperationError("mo.foo")


def test_ctrl_c_goes_through(checkpoint):
    with pytest.raises(KeyboardInterrupt), told("it", find("LlamaForCausalLM"), checkpoint):
        raise KeyboardInterrupt
