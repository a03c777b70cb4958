"""`python -m verify reduce`: what cannot be reduced is told in a sentence, at once."""

import pytest

from reports.saved.records import RunWriter, read_run
from verify import reducing

BLAMED = {"blame": "MAX's compiler: the traced graph is right", "blamed_on": "compiler"}
CHECK = {
    "record": "check", "model": "tiny", "seed": 0, "case": "given-2x33", "mode": "isolated",
    "tap": "transformer.h.2", "verdict": "FAIL", "regime": "given", "batch": 2, "length": 33,
    "details": BLAMED,
}  # fmt: skip
NOBODYS = "tests/verify/models/nobody.py:model"


@pytest.fixture
def run(tmp_path):
    """Writes a run with checks, and an end."""

    def write(*checks, divergence=None, arguments=("--candidate", NOBODYS)):
        made = ["python", "-m", "verify", *arguments]
        writer = RunWriter("verify", command=made, environment={}, out=tmp_path / "run")
        with writer:
            for check in checks:
                writer.write(check)
            writer.finish(
                {"verdict": "FAIL" if divergence else "PASS", "first_divergence": divergence}
            )
        return str(writer.folder)

    return write


def said(capsys, *arguments):
    """The one line on stderr of a command that could not run."""
    assert reducing.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    return line.removeprefix("verify: ")


def test_something_to_reduce_has_to_be_named(capsys):
    assert said(capsys) == "a RUN or a --candidate is needed"


def test_a_folder_without_a_run(capsys, tmp_path):
    assert "holds no records.jsonl" in said(capsys, str(tmp_path))


def test_a_run_in_which_nothing_failed(capsys, run):
    assert "nothing failed in this run" in said(capsys, run())


def test_a_run_that_blames_the_port(capsys, run):
    check = {**CHECK, "details": {"blame": "the port's", "blamed_on": "graph"}}
    divergence = {
        "tap": CHECK["tap"],
        "blame": "the port's: another function",
        "blamed_on": "graph",
    }
    assert "is not MAX's: the port's: another function" in said(
        capsys, run(check, divergence=divergence)
    )


def test_a_run_from_before_anybody_was_blamed(capsys, run):
    check = {**CHECK, "details": None}
    assert "does not say whose fault" in said(capsys, run(check, divergence={"tap": CHECK["tap"]}))


def test_a_run_whose_candidate_is_gone(capsys, run):
    folder = run(CHECK, divergence={"tap": CHECK["tap"], **BLAMED})
    assert "there is no file tests/verify/models/nobody.py" in said(capsys, folder)


def test_a_place_that_cannot_be_written(capsys, tmp_path):
    line = said(capsys, "--candidate", NOBODYS, "--out", str(tmp_path / "no" / "folder.py"))
    assert "there is no folder" in line


def test_a_time_that_is_none(capsys):
    with pytest.raises(SystemExit) as end:
        reducing.main(["--candidate", NOBODYS, "--time-limit", "-1"])
    assert end.value.code == 2
    assert "not a positive number" in capsys.readouterr().err


RANDOM = """
from max.experimental import functional as F
from max.graph import ops
from impl.model import GPT2LMHeadModel

class Noisy(GPT2LMHeadModel):
    def forward(self, input_ids):
        ops.random.set_seed(0)
        logits = super().forward(input_ids)
        return logits + F.normal_like(logits)

def model(config):
    return Noisy(config)
"""


def test_a_graph_that_cannot_be_evaluated(capsys, tmp_path):
    (tmp_path / "noisy.py").write_text(RANDOM)
    line = said(capsys, "--candidate", f"{tmp_path}/noisy.py:model", "--out", f"{tmp_path}/out.py")
    assert "there is a random operation in the graph, mo.random.normal (noisy.py:10)" in line
    assert not (tmp_path / "out.py").exists()


def test_the_smallest_case_of_the_place_is_taken(run, tmp_path):
    small = {**CHECK, "case": "given-1x9", "batch": 1, "length": 9, "details": None}
    other = {**CHECK, "tap": "transformer.h.3", "batch": 1, "length": 2, "details": None}
    folder = run(CHECK, small, other, divergence={"tap": CHECK["tap"], **BLAMED})
    options = reducing.as_in(read_run(tmp_path / "run"), reducing.parser().parse_args([folder]))
    assert (options.check["batch"], options.check["length"]) == (1, 9)
    assert options.candidate == NOBODYS
