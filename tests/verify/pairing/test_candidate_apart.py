"""A candidate in a process of its own is the one that this process would have built."""

from pathlib import Path

import numpy as np
import psutil
import pytest
from max.dtype import DType

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime
from verify.candidate.factory import load_factory
from verify.candidate.guard import CandidateError
from verify.graph.form import same
from verify.pairing.candidate_apart import CandidateApart, stand_by
from verify.pairing.prepare import NamedCandidate, prepare, subject_of

FOLDER = Path(__file__).parents[1] / "models"
CONFIG = GPT2Config(vocab_size=67, n_positions=40, n_embd=32, n_layer=2, n_head=4)
START = Checkpoint(name="small", config=CONFIG, weights=initial_weights(CONFIG, seed=1))
CHECKPOINT = with_regime(START, "perturbed", seed=1)
IDS = np.arange(10, dtype=np.int64).reshape(2, 5)

pytestmark = pytest.mark.usefixtures("nothing_is_compiled")


def prepared_apart(spec, **options):
    subject = subject_of(f"{FOLDER}/{spec}", None, "logits", CONFIG.n_layer, **options)
    return subject, prepare(subject, CHECKPOINT, "cpu", DType.float32)


@pytest.mark.parametrize("spec", ["own_names.py:MyGPT", "split_qkv.py:ForCausalLM"])
def test_its_outline_pairing_and_graphs_are_those_of_this_process(spec):
    here = prepare(
        NamedCandidate(name=spec.partition(":")[2], factory=load_factory(f"{FOLDER}/{spec}")),
        CHECKPOINT, "cpu", DType.float32,
    )  # fmt: skip
    _, apart = prepared_apart(spec)
    assert apart.outline == here.outline
    assert apart.pairing == here.pairing
    assert apart.forced_taps == here.forced_taps
    assert apart.candidate.graphs.keys() == here.candidate.graphs.keys()
    for name, graph in here.candidate.graphs.items():
        assert same(apart.candidate.graphs[name], graph), name
    lines = {each.place for each in apart.candidate.placed.block.operations if each.place}
    assert {Path(place.file).name for place in lines} == {spec.partition(":")[0]}
    weights = here.weights_of(CHECKPOINT.weights)
    assert np.array_equal(apart.evaluated(weights).logits(IDS), here.evaluated(weights).logits(IDS))


def test_its_process_has_ended_before_anything_is_judged():
    subject, _ = prepared_apart("own_names.py:MyGPT")
    assert not psutil.pid_exists(subject.apart._apart._process.pid)
    assert subject.files == [str(FOLDER / "own_names.py")]


def test_it_can_be_prepared_again_for_another_device():
    subject, first = prepared_apart("own_names.py:MyGPT")
    second = prepare(subject, CHECKPOINT, "cpu", DType.float32)
    assert second.outline == first.outline


def test_a_process_that_stood_by_is_the_next_candidates():
    stand_by()
    from verify.pairing.candidate_apart import _waiting

    (waiting,) = _waiting
    subject, _ = prepared_apart("own_names.py:MyGPT")
    assert subject.apart._apart is waiting
    assert not _waiting


@pytest.fixture
def two_files(tmp_path, monkeypatch):
    """A user's model of two files, in packages that are called as the harness's are."""
    monkeypatch.chdir(tmp_path)
    for name in ("reports", "impl", "verify"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "impl" / "config.py").write_text("MINE = True\n")
    text = (FOLDER / "own_names.py").read_text()
    (tmp_path / "reports" / "layers.py").write_text(text)
    model = "from impl.config import MINE\nfrom reports.layers import MyGPT\n"
    (tmp_path / "model.py").write_text(model)
    return tmp_path


def test_packages_of_the_users_own_may_have_the_harness_s_names(two_files):
    subject = subject_of("model.py:MyGPT", None, "logits", CONFIG.n_layer)
    paired = prepare(subject, CHECKPOINT, "cpu", DType.float32)
    assert "lm_head" in paired.forced_taps
    own = {str(Path(file).relative_to(two_files)) for file in subject.files}
    assert {"model.py", "reports/layers.py", "impl/config.py"} <= own
    assert not [file for file in subject.files if not Path(file).is_relative_to(two_files)]


def test_what_it_raises_comes_with_its_own_lines_files_and_place(two_files):
    (two_files / "model.py").write_text("import reports.layers\n\n\ndef make(config):\n    1 / 0\n")
    subject = subject_of("model.py:make", None, "logits", CONFIG.n_layer)
    with pytest.raises(CandidateError, match=r"make\(config\) raises ZeroDivisionError") as caught:
        prepare(subject, CHECKPOINT, "cpu", DType.float32)
    assert caught.value.__notes__ == ["  model.py:5 in make: 1 / 0"]
    assert str(two_files / "model.py") in caught.value.files
    assert caught.value.place == (str(two_files / "model.py"), 5)


def test_a_file_that_is_not_there_is_a_sentence_at_once():
    with pytest.raises(CandidateError, match=r"there is no file nowhere\.py"):
        CandidateApart("nowhere.py:GPT")
