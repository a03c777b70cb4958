"""The package, judged as any other: in float64, over uneven rows, chunks, pages and prefixes."""

from pathlib import Path

import pytest
import transformers

from tests.verify.package.packages import own_registry
from verify.package.answers import PackagePlan, verify_package
from verify.package.installed.found import find, for_checkpoint, widen
from verify.package.reading.drawn import draw

FOLDER = Path(__file__).parents[3] / "impl" / "serving"


@pytest.fixture(scope="module", params=["tied", "untied", "scaled by layer", "gelu by erf"])
def judged(request, tmp_path_factory):
    """Everything that needs no compile, of a tiny model."""
    changes = {
        "tied": {},
        "untied": {"tie_word_embeddings": False},
        "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
        "gelu by erf": {"activation_function": "gelu"},
    }
    folder = tmp_path_factory.mktemp("drawn") / "gpt2"
    draw(transformers.GPT2Config(**changes[request.param]), folder)
    with own_registry():
        found = widen(for_checkpoint(find(str(FOLDER)), folder), "float32")
        others = ("weights", "power") if request.param == "tied" else ()
        plan = PackagePlan(found=found, folder=folder, quick=True, answers=("mathematics", *others))
        yield verify_package(plan, lambda check: None)


def test_it_is_the_same_mathematics_as_transformers(judged):
    assert judged.verdict == "PASS", [c.message for c in judged.checks if c.verdict == "FAIL"]
    assert set(judged.answers.values()) == {"PASS"}
