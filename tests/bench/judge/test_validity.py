"""A speed counts only for the very model, code, device and dtype that were verified."""

import shutil
from dataclasses import replace

import pytest

from bench.judge.validity import Verified, why_package_unverified, why_unverified
from impl.choosing.kernel_choice import SWITCH, Choice
from reports.saved.records import RECORDS, RunWriter
from verify.candidate.factory import named_file
from verify.candidate.own_files import described, table_of_candidate

SUBJECT = Verified(
    command="python -m verify --model tiny",
    weights_sha256="w",
    impl_sha256="i",
    max_version="26.7.0",
    device="cpu",
    engine="",
)
ENVIRONMENT = {
    "weights_sha256": "w", "impl_sha256": "i", "versions": {"max": "26.7.0"}, "candidate": "impl",
}  # fmt: skip
CHECK = {
    "record": "check", "verdict": "PASS", "device": "cpu", "dtype": "float32", "regime": "given",
}  # fmt: skip


def verified(root, *, environment=None, checks=(CHECK,), end=None, finish=True, **options):
    summary = {"verdict": "PASS", "devices": ["cpu"], "dtypes": ["float32"]} if end is None else end
    whole = ENVIRONMENT | (environment or {})
    with RunWriter("verify", command=[], environment=whole, root=root, **options) as writer:
        for check in checks:
            writer.write(check)
        if finish:
            writer.finish(summary)
    return writer.folder


def test_a_verified_model_counts(tmp_path):
    verified(tmp_path)
    assert why_unverified(SUBJECT, tmp_path) == ""


def test_without_any_verification_the_reason_says_what_to_run(tmp_path):
    reason = why_unverified(SUBJECT, tmp_path)
    assert reason == "these weights were never verified: run `python -m verify --model tiny` first"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights_sha256": "x"}, "never verified"),
        ({"impl_sha256": "x"}, "has changed"),
        ({"max_version": "27.0.0"}, "has changed"),
        ({"device": "gpu"}, "the model was not verified with these weights on gpu"),
        ({"engine": "auto"}, "the engine auto was not verified"),
    ],
)
def test_another_subject_does_not_count(tmp_path, change, reason):
    verified(tmp_path)
    assert reason in why_unverified(replace(SUBJECT, **change), tmp_path)


@pytest.mark.parametrize("verdict", ["FAIL", "ERROR", "UNDERPOWERED", None])
def test_only_pass_counts(tmp_path, verdict):
    folder = verified(tmp_path, end={"verdict": verdict, "devices": ["cpu"], "dtypes": ["float32"]})
    assert why_unverified(SUBJECT, tmp_path) == (
        f"verification {folder.name} ended with {verdict}, not PASS"
    )


def test_a_verification_of_another_candidate_says_nothing_of_impl(tmp_path):
    verified(tmp_path, environment={"candidate": "mine.py:Model"})
    assert "never verified" in why_unverified(SUBJECT, tmp_path)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A candidate of two files, and the environment of a run of it, as it is now."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine.py").write_text("from layers import Model\n")
    (folder / "layers.py").write_text("Model = 1\n")
    return described("mine.py:Model", table_of_candidate("mine.py:Model"))


def subject(candidate="mine.py:Model", **change):
    file = named_file(candidate)
    return replace(SUBJECT, candidate=candidate, candidate_file=file, **change)


def test_a_candidate_counts_where_this_very_code_was_verified(tmp_path, own):
    assert "was never verified" in why_unverified(subject(), tmp_path)
    verified(tmp_path)  # impl's own model says nothing of it
    assert "was never verified" in why_unverified(subject(), tmp_path)
    verified(tmp_path, environment=own)
    assert why_unverified(subject(), tmp_path) == ""
    assert why_unverified(subject(f"{tmp_path}/own/mine.py:Model"), tmp_path) == ""


@pytest.mark.parametrize("file", ["mine.py", "layers.py"])
def test_an_edit_of_any_of_its_files_makes_a_pass_void_and_is_named(tmp_path, own, file):
    verified(tmp_path, environment=own)
    path = tmp_path / "own" / file
    path.write_text(path.read_text() + "# edited\n")
    reason = why_unverified(subject(), tmp_path)
    assert reason.startswith(f"{file} changed since mine.py:Model was verified: run `")
    verified(tmp_path, environment=described("mine.py:Model", table_of_candidate("mine.py:Model")))
    assert why_unverified(subject(), tmp_path) == ""


def test_a_file_that_is_gone_makes_a_pass_void(tmp_path, own):
    verified(tmp_path, environment=own)
    (tmp_path / "own" / "layers.py").unlink()
    assert "layers.py changed" in why_unverified(subject(), tmp_path)


def test_the_same_code_in_another_folder_counts_and_other_code_there_does_not(tmp_path, own):
    verified(tmp_path, environment=own)
    shutil.copytree(tmp_path / "own", tmp_path / "copy")
    other = subject(f"{tmp_path}/copy/mine.py:Model")
    assert why_unverified(other, tmp_path) == ""
    (tmp_path / "copy" / "layers.py").write_text("Model = 2\n")
    assert "layers.py changed" in why_unverified(other, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidate": "mine.py:Other"}, "mine.py:Other was never verified with these weights"),
        ({"weights_sha256": "x"}, "was never verified with these weights"),
        ({"max_version": "27.0.0"}, "has changed"),
        ({"device": "gpu"}, "not verified with these weights on gpu"),
        ({"candidate_file": None}, "mine.py:Model changed since"),
    ],
)
def test_another_candidate_weights_max_or_device_does_not_count(tmp_path, own, change, reason):
    verified(tmp_path, environment=own)
    assert reason in why_unverified(replace(subject(), **change), tmp_path)


def test_a_candidate_of_which_one_file_alone_was_hashed_does_not_count(tmp_path, own):
    older = {"candidate": "mine.py:Model", "candidate_sha256": own["candidate_sha256"]}
    verified(tmp_path, environment=older)
    assert "mine.py:Model changed since" in why_unverified(subject(), tmp_path)


def test_a_candidate_in_bfloat16_alone_does_not_count(tmp_path, own):
    end = {"verdict": "PASS", "devices": ["cpu"], "dtypes": ["bfloat16"]}
    verified(tmp_path, environment=own, end=end)
    assert "was not verified" in why_unverified(subject(), tmp_path)


def test_an_interrupted_verification_does_not_count(tmp_path):
    verified(tmp_path, finish=False)
    assert "never verified" in why_unverified(SUBJECT, tmp_path)


@pytest.mark.parametrize(
    "checks", [(), ({**CHECK, "verdict": "SKIP"},), ({**CHECK, "regime": "stress"},)]
)
def test_a_verification_that_judged_other_weights_or_nothing_does_not_count(tmp_path, checks):
    verified(tmp_path, checks=checks)
    assert "the model was not verified" in why_unverified(SUBJECT, tmp_path)


def test_device_and_dtype_are_taken_from_the_checks_where_the_end_has_none(tmp_path):
    verified(tmp_path, end={"verdict": "PASS"})
    assert why_unverified(SUBJECT, tmp_path) == ""
    assert why_unverified(replace(SUBJECT, device="gpu"), tmp_path) != ""


def test_the_newest_of_several_decides(tmp_path):
    first = verified(tmp_path, out=tmp_path / "runs" / "z")
    records = first / RECORDS
    text = records.read_text().replace('"started_utc": "2', '"started_utc": "1')
    records.write_text(text)
    verified(tmp_path, end={"verdict": "FAIL", "devices": ["cpu"], "dtypes": ["float32"]})
    assert "ended with FAIL" in why_unverified(SUBJECT, tmp_path)


def test_a_run_in_a_folder_of_ones_own_is_found_as_long_as_it_is_there(tmp_path):
    folder = verified(tmp_path / "root", out=tmp_path / "elsewhere")
    assert why_unverified(SUBJECT, tmp_path / "root") == ""
    shutil.rmtree(folder)
    assert "never verified" in why_unverified(SUBJECT, tmp_path / "root")


def test_damaged_runs_and_other_kinds_are_passed_over(tmp_path):
    (tmp_path / "runs" / "damaged").mkdir(parents=True)
    (tmp_path / "runs" / "damaged" / RECORDS).write_text("{")
    with RunWriter("bench", command=[], environment=ENVIRONMENT, root=tmp_path) as writer:
        writer.write(CHECK)
        writer.finish({"verdict": "PASS"})
    assert "never verified" in why_unverified(SUBJECT, tmp_path)


HERE = Choice.of("mojo").path


def engine_check(engine, path=f"{HERE}, float32"):
    return CHECK | {"mode": "engine", "details": {"engine": engine, "path": path}}


ENGINE = engine_check("auto:bfloat16")


@pytest.fixture(autouse=True)
def _mojo_kernels(monkeypatch):
    """What `auto` takes, whatever this CPU has."""
    monkeypatch.setenv(SWITCH, "mojo")


def test_an_engine_counts_where_it_was_checked_itself(tmp_path):
    verified(tmp_path, checks=(CHECK, ENGINE))
    assert why_unverified(replace(SUBJECT, engine="auto:bfloat16"), tmp_path) == ""
    for other in ("auto", "stock", "auto:int8"):
        assert "was not verified" in why_unverified(replace(SUBJECT, engine=other), tmp_path)


def test_an_engine_that_was_skipped_does_not_count(tmp_path):
    verified(tmp_path, checks=(CHECK, ENGINE | {"verdict": "SKIP"}))
    assert "was not verified" in why_unverified(replace(SUBJECT, engine="auto:bfloat16"), tmp_path)


STOCK = "stock MAX operations (MAX_GPT2_KERNELS=stock), float32"


@pytest.mark.parametrize(
    ("engine", "path", "switch", "counts"),
    [
        ("auto", f"{HERE}, float32 in 28 bits, none lost", "mojo", True),
        ("auto", f"{HERE}, float32", "stock", False),
        ("auto", STOCK, "stock", True),
        ("auto", STOCK, "mojo", False),
        ("stock", "stock MAX operations, float32", "mojo", True),
        ("mojo", f"{HERE}, float32", "stock", True),
        ("mojo-plain", "Mojo kernels for any CPU, float32", "stock", True),
        ("mojo-plain", f"{HERE}, float32", "stock", False),
    ],
)
def test_an_engine_counts_with_the_kernels_that_it_takes_here(
    tmp_path, monkeypatch, engine, path, switch, counts
):
    """Another CPU, or the switch, makes another program of `auto`."""
    monkeypatch.setenv(SWITCH, switch)
    verified(tmp_path, checks=(CHECK, engine_check(engine, path)))
    reason = why_unverified(replace(SUBJECT, engine=engine), tmp_path)
    other = f"the engine {engine} was verified with other kernels than it takes here"
    assert reason == ("" if counts else f"{other}: run `{SUBJECT.command}` first")


def test_an_engine_on_another_device_is_another_engine(tmp_path):
    checks = CHECK, engine_check("auto") | {"device": "gpu"}
    verified(tmp_path, checks=checks, end={"verdict": "PASS", "devices": ["cpu", "gpu"]})
    assert "other kernels" not in why_unverified(replace(SUBJECT, engine="auto"), tmp_path)
    assert "was not verified" in why_unverified(replace(SUBJECT, engine="auto"), tmp_path)


@pytest.mark.parametrize(
    ("engine", "switch", "reason"),
    [
        ("auto:bfloat16", "stock", "MAX_GPT2_KERNELS=stock: stock operations compute in float32"),
        (
            "auto",
            "cuda",
            "MAX_GPT2_KERNELS is auto, mojo, stock, mojo-avx512, mojo-avx2, mojo-",
        ),
    ],
)
def test_an_engine_that_cannot_run_here_was_not_verified(
    tmp_path, monkeypatch, engine, switch, reason
):
    monkeypatch.setenv(SWITCH, switch)
    verified(tmp_path, checks=(CHECK, engine_check(engine)))
    assert reason in why_unverified(replace(SUBJECT, engine=engine), tmp_path)


PACKAGE = {"candidate": "impl/serving", "weights_sha256": "other"}
SERVE = "python -m verify package impl/serving --model tiny"


def package_verified(root, **options):
    command = ["python", "-m", "verify", "package", "impl/serving"]
    end = {"verdict": "PASS", "compiled": True} | options.pop("end", {})
    environment = ENVIRONMENT | PACKAGE | options
    with RunWriter("verify", command=command, environment=environment, root=root) as writer:
        writer.finish(end)
    return writer.folder


def unverified_package(root):
    return why_package_unverified("impl/serving", ENVIRONMENT, SERVE, root)


def test_a_served_package_counts_once_it_passed_on_any_checkpoint(tmp_path):
    assert unverified_package(tmp_path) == f"impl/serving was never verified: run `{SERVE}` first"
    package_verified(tmp_path)
    assert unverified_package(tmp_path) == ""


@pytest.mark.parametrize(
    "change", [{"impl_sha256": "x"}, {"versions": {"max": "27.0.0"}}], ids=["code", "MAX"]
)
def test_a_package_of_other_code_or_another_max_does_not_count(tmp_path, change):
    package_verified(tmp_path, **change)
    assert "has changed" in unverified_package(tmp_path)


def test_a_package_that_failed_or_was_not_compiled_does_not_count(tmp_path):
    package_verified(tmp_path, end={"compiled": False})
    assert "never verified" in unverified_package(tmp_path)
    folder = package_verified(tmp_path, end={"verdict": "FAIL"})
    assert unverified_package(tmp_path) == f"verification {folder.name} ended with FAIL, not PASS"


def test_a_verification_of_the_model_says_nothing_of_the_package(tmp_path):
    verified(tmp_path)
    assert "never verified" in unverified_package(tmp_path)
