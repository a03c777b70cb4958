"""Runs of every kind, written as the real ones are, small enough to be made in milliseconds."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reports.history.compare import compare_page
from reports.history.index import write_index
from reports.output.render import render
from reports.saved.files import write
from reports.saved.records import RunWriter, read_run
from tests.reports.beside import measured

BESIDE = "torch", "onnxruntime", "openvino", "ctranslate2", "llama.cpp", "torch-compile"

DATA = Path(__file__).parent / "data"

ENVIRONMENT = {
    "model": "tiny", "candidate": "impl", "weights_sha256": "0123456789abcdef" * 4,
    "impl_sha256": "fedcba9876543210" * 4, "commit": "1234567890abcdef", "dirty": False,
    "versions": {"max": "26.7.0", "torch": "2.13.0", "transformers": "5.12.1"},
    "cpu": "A CPU", "threads": 2, "system": "Linux", "accelerator": None,
}  # fmt: skip

INSIDE = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.act", "mlp.c_proj")
LAYERS = 3
TAPS = [
    "transformer.wte",
    *(
        f"transformer.h.{layer}{name}"
        for layer in range(LAYERS)
        for name in (*(f".{part}" for part in INSIDE), "")
    ),
    "transformer.ln_f",
    "lm_head",
]
BROKEN = "transformer.h.1.mlp.act"
CASES = ("given-1x9", "given-2x33", "stress-1x9")


def check(tap, mode="isolated", case="given-1x9", **rest):
    batch, length = map(int, case.rpartition("-")[2].split("x"))
    return {
        "record": "check", "model": "tiny", "regime": case.partition("-")[0], "device": "cpu",
        "seed": 0, "batch": batch, "length": length, "case": case, "mode": mode, "tap": tap,
        "verdict": "PASS", "layer": None, "shape": [batch, length, 8], "dtype": "float32",
        "max_abs": 3e-7, "rms": 1e-7, "relative": 1e-7, "ulp": 1.5, "cosine": 1.0,
        "torch_max_abs": 3e-7, "torch_rms": 9e-8, "torch_relative": 9e-8, "torch_ulp": 1.4,
        "torch_cosine": 1.0, "envelope_max": 4e-7, "envelope_rms": 1.2e-7, "ratio": 1.1,
        "used": 0.4, "message": "", "details": None, "bits": 23.0,
    } | rest  # fmt: skip


def fault(name, tap, margin, regime="given", caught=True):
    return {
        "record": "fault", "regime": regime, "case": f"{regime}-2x33", "fault": name,
        "expected": tap, "blamed": tap if caught else None, "margin": margin, "applicable": True,
        "by": "bounds", "caught": caught,
    }  # fmt: skip


def power(name, tap, margin):
    return check(
        tap, mode="power", shape=None, used=None, rms=None, batch=None, length=None
    ) | {
        "case": name, "regime": name,
        "details": {
            "fault": name, "case": "given-2x33", "expected": tap, "blamed": tap, "margin": margin,
            "applicable": True, "by": "bounds", "caught": True,
            "found": "0.5 x (1 + erf(x / sqrt(2)))", "seen_in": "a bug",
        },
    }  # fmt: skip


def findings():
    """What explains the failures of a run: the diagnosis, and something else."""
    first = {"record": "finding", "tap": BROKEN, "ids": ["gelu_erf"], "stages": 4, "of": 6,
             "text": "h.1.mlp.act: found 0.5 x (1 + erf(x / sqrt(2)))"}  # fmt: skip
    other = {"record": "finding", "tap": "transformer.ln_f", "ids": ["ln_eps"], "stages": 2,
             "of": 6, "text": "ln_f: found eps = 1e-6"}  # fmt: skip
    return first, other


def stage_graph(operations=12):
    """The operations of the failing stage, of which the last but one departs."""
    lines = [
        {"kind": "mul", "operands": "act: x, 0.5", "shape": "1x9x64", "place": f"my_model.py:{i}",
         "code": "return 0.5 * x", "quantity": "act: 0.5 x", "departs": False}
        for i in range(operations)
    ]  # fmt: skip
    lines[-2] |= {"kind": "erf", "quantity": "", "departs": True, "code": "F.erf(x / 1.414)"}
    summary = "it matches up to act: 0.5 x (my_model.py:9); first differs: erf"
    return {
        "record": "graph", "tap": BROKEN, "case": "given-1x9", "operations": lines,
        "summary": summary,
    }  # fmt: skip


def pairing():
    """Whose names stand for whose: some of each kind."""
    found = {"part": "", "transposed": False, "by": "name"}
    return {
        "record": "pairing",
        "weights": [
            found | {"own": "tok.weight", "theirs": "transformer.wte.weight", "by": "shape"},
            found | {"own": "blocks.{layer}.q.weight", "transposed": True, "part": "query",
                     "theirs": "transformer.h.{layer}.attn.c_attn.weight"},
        ],
        "modules": [found | {"own": "blocks.{layer}", "theirs": "transformer.h.{layer}",
                             "by": "parameters"}],
        "loose": [{"name": "drop", "reason": "it only passes on what it is given"}],
        "unheld": ["lm_head.weight"],
        "spared": ["transformer.h.0.attn.c_attn.bias"],
    }  # fmt: skip


def verification(*, failing=False):
    """Records and the end of a verification of three layers; if failing, `BROKEN` is wrong."""
    wrong = {"verdict": "FAIL", "rms": 2e-4, "relative": 2e-4, "max_abs": 9e-4, "used": 1500.0,
             "ratio": 2200.0, "message": "the error is 1.5e+03 times what is allowed"}  # fmt: skip
    behind = TAPS[TAPS.index(BROKEN) :]
    records = [
        {"record": "check", "case": "gpu", "mode": "device", "tap": "", "verdict": "SKIP",
         "device": "gpu", "message": "no accelerator here"},
    ]  # fmt: skip
    for case in CASES:
        for mode in ("isolated", "free"):
            bad = {BROKEN, *(behind if mode == "free" else ())} if failing else set()
            records += [check(tap, mode, case, **(wrong if tap in bad else {})) for tap in TAPS]
        details = {"kl_mean": 1e-12, "kl_p95": 2e-12, "kl_max": 3e-12, "torch_kl_mean": 1e-12,
                   "top1_flips": 0, "top1_flips_excused": 0, "top5_agreement": 1.0,
                   "positions": 9}  # fmt: skip
        records.append(check("lm_head", "logits", case, used=None, rms=None, details=details))
    records.append(power("gelu_erf", BROKEN, 1600.0))
    records.append(power("ln_eps", "transformer.h.1.ln_1", 2200.0))
    records.append(fault("gelu_erf", BROKEN, 1600.0))
    records.append(fault("ln_eps", "transformer.h.1.ln_1", 2200.0, "stress"))
    divergence = {
        "case": "given-1x9", "tap": BROKEN,
        "message": "h.1.mlp.act (isolated, given-1x9): the error is 1.5e+03 times what is allowed",
        "diagnosis": "h.1.mlp.act: found 0.5 x (1 + erf(x / sqrt(2))); GPT-2 has its tanh form",
    }  # fmt: skip
    if failing:
        records += [*findings(), stage_graph(), pairing()]
    end = {
        "verdict": "FAIL" if failing else "PASS", "devices": ["cpu"], "dtypes": ["float32"],
        "first_divergence": divergence if failing else None, "order": TAPS,
        "coverage": {"expected": 30, "compared": 27, "excused": []},
    }  # fmt: skip
    return records, end


def deep_verification(layers=48):
    """A verification of a model of many blocks, one of which fails."""
    taps = [f"transformer.h.{layer}.{part}" for layer in range(layers) for part in INSIDE]
    bad = taps[-20]
    records = [
        check(tap, verdict="FAIL" if tap == bad else "PASS", used=9.0 if tap == bad else 0.3)
        for tap in taps
    ]
    divergence = {"case": "given-1x9", "tap": bad, "message": f"{bad}: far off", "diagnosis": None}
    return records, {"verdict": "FAIL", "first_divergence": divergence, "order": taps}


def artefacts(*, failing=False):
    """The arrays of such a run."""
    rng = np.random.default_rng(0)
    tokens, heads = 6, 2
    attention = np.tril(np.ones((LAYERS, heads, tokens, tokens)))
    attention /= attention.sum(axis=-1, keepdims=True)
    top = np.sort(rng.dirichlet(np.ones(9), tokens)[:, :5])[:, ::-1]
    words = np.array(["And", " it", " came", " to", " pass", "\n<b>"])
    arrays = {
        "given-2x33/tokens/taps": np.array(TAPS),
        "given-2x33/tokens/used": rng.uniform(0.1, 0.6, (len(TAPS), 66)).astype(np.float32),
        "given-2x33/tokens/ids": np.arange(66),
        "cpu/inside/ids": np.arange(tokens), "cpu/inside/prompt": np.array(4),
        "cpu/inside/tokens": words, "cpu/inside/top_tokens": np.tile(words[:5], (tokens, 1)),
    }  # fmt: skip
    for name, noise in (("candidate", 1e-7), ("torch", 0.0)):
        arrays[f"cpu/inside/attention_{name}"] = (attention + noise).astype(np.float32)
        arrays[f"cpu/inside/residual_{name}"] = np.cumsum(
            np.ones((LAYERS + 1, tokens)) + noise, axis=0
        )
        arrays[f"cpu/inside/first_tokens_{name}"] = words
    for name in ("candidate", "torch", "oracle"):
        arrays[f"cpu/inside/top_{name}"] = top
    for case, positions in (("given-1x9", 9), ("given-2x33", 66)):
        for name, scale in (("kl_nats", 1e-12), ("torch_kl_nats", 1e-12), ("lead", 1.0),
                            ("error", 1e-5)):  # fmt: skip
            arrays[f"{case}/logits/{name}"] = rng.uniform(0.1, 2, positions) * scale
        arrays[f"{case}/logits/flipped"] = np.zeros(positions, bool)
    if failing:
        path = f"given-1x9/window/{BROKEN}"
        truth = rng.normal(size=(5, 9))
        arrays[f"{path}/worst"], arrays[f"{path}/first"] = np.array([0, 4, 7]), np.array([2, 3])
        arrays[f"{path}/oracle"], arrays[f"{path}/torch"] = truth, truth + 1e-8
        arrays[f"{path}/candidate"] = truth + np.eye(5, 9, 2) * 1e-3
        path = f"given-2x33/whole/{BROKEN}"
        values = np.abs(rng.normal(size=(66, 64))).astype(np.float32)
        arrays[f"{path}/error"] = values * 1e-3
        arrays[f"{path}/candidate"] = arrays[f"{path}/oracle"] = values
        arrays[f"{path}/shape"], arrays[f"{path}/cell"] = np.array([2, 33, 128]), np.array([1, 2])
        arrays[f"{path}/allowed"], arrays[f"{path}/heads"] = np.array(1e-6), np.array(4)
    return arrays


def benchmark():
    """Records and the end of a benchmark of format 2, with every kind of record."""
    rng = np.random.default_rng(0)
    place = {"model": "tiny", "device": "cpu", "dtype": "float32", "threads": 2}
    speeds = {("pp32", "max"): 2e-3, ("pp32", "torch"): 3e-3, ("pp128", "max"): 8e-3,
              ("pp128", "torch"): 9e-3, ("tg8 @ d32", "max"): 9e-3,
              ("tg8 @ d32", "torch"): 8e-3}  # fmt: skip
    records = []
    for number, ((workload, arm), median) in enumerate(speeds.items()):
        here = place | {"workload": workload, "arm": arm}
        prompt = int(workload[2:]) if workload.startswith("pp") else 0
        records.append(
            here | {
                "record": "row", "batch": 1, "n_prompt": prompt, "n_gen": 0 if prompt else 8,
                "n_depth": 0 if prompt else 32, "status": "VALID", "verified": True,
                "invalid_reasons": [], "median_s": median, "ci_lo_s": median * 0.98,
                "ci_hi_s": median * 1.03, "tok_s": 1 / median, "flops": 3e8 + number,
                "bytes": 5e6, "roofline_pct": 40.0, "bound": "compute", "mfu": 0.4,
                "peak_rss_mib": 400.0 + number,
            }
        )  # fmt: skip
        records += [
                here | {
                    "record": "sample", "block": block, "quad": block // 2, "position": 0,
                    "call": 0, "start_ns": 1e9 + 1e7 * (20 * number + block),
                    "time_ns": int(median * 1e9 * rng.normal(1, 0.02)), "clean": block % 7 != 3,
                    "psi_us": 120, "switches": 3, "steal_us": 0, "steps_ns": [1, 2],
                }
            for block in range(20)
        ]  # fmt: skip
        records.append(here | {"record": "memory", "phase": None, "peak_rss_mib": 400 + number})
    for workload in ("pp32", "pp128", "tg8 @ d32"):
        ratio = speeds[workload, "max"] / speeds[workload, "torch"]
        records.append(
            place | {
                "record": "effect", "workload": workload, "arm": "max", "versus": "torch",
                "ratio": ratio, "ci_lo": ratio * 0.97, "ci_hi": ratio * 1.03, "quads": 10,
                "margin": 1.02, "verdict": "FASTER" if ratio < 1 else "SLOWER",
            }
        )  # fmt: skip
        records.append(
            place | {"record": "null", "workload": workload, "arm": "torch", "versus": "torch#2",
                     "ratio": 1.001, "ci_lo": 0.99, "ci_hi": 1.01, "margin": 1.02}
        )  # fmt: skip
    for name, unit, value in (("read", "GB/s", 30.0), ("gemm", "GFLOP/s", 190.0)):
        records.append(
            place | {"record": "ceiling", "arm": None, "workload": None, "ceiling": name,
                     "unit": unit, "value": value, "median": value * 0.95, "what": "a buffer"}
        )  # fmt: skip
    for arm in ("max", "torch"):
        records.append(place | {"record": "phase", "arm": arm, "phase": "load", "seconds": 0.5})
        records.append(
            place | {"record": "scaling", "arm": arm, "workloads": 3, "pass_s": 2.5e-4,
                     "gflop_s": 150.0, "gb_s": None, "median_error_pct": 3.0,
                     "worst_error_pct": 9.0, "points": [
                         {"workload": "pp32", "median_s": 2e-3, "fitted_s": 2.1e-3},
                         {"workload": "pp128", "median_s": 8e-3, "fitted_s": 7.9e-3}]}
        )  # fmt: skip
        records.append(
            place | {"record": "layer", "arm": arm, "tap": BROKEN, "batch": 1, "length": 32,
                     "median_s": 1e-4, "max_error": 1e-7, "allowed": 3e-7}
        )  # fmt: skip
    skip = {"record": "row", "workload": None, "arm": "max", "device": "gpu", "status": "SKIP",
            "invalid_reasons": ["no accelerator here"]}  # fmt: skip
    return [*records, skip], {"rows": 7, "statuses": {"VALID": 6, "SKIP": 1}}


def write_run(root, kind, records=(), end=None, *, arrays=None, **environment):
    """Write a run below `root`, and return its folder."""
    with RunWriter(
        kind, command=["python", "-m", kind], environment=ENVIRONMENT | environment, root=root
    ) as writer:
        for record in records:
            writer.write(record)
        if end is not None:
            writer.finish(end)
    if arrays:
        np.savez_compressed(writer.folder / "artefacts.npz", **arrays)
    return writer.folder


def write_small_runs(root, count):
    """So many runs of a row each, of which the last quarter is slower; they take a millisecond."""
    for number in range(count):
        started = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z"
        median = 0.01 * (1 + 0.002 * (number % 5)) * (1.3 if number >= 0.75 * count else 1)
        folder = root / "runs" / f"2026-{number:04d}-bench"
        folder.mkdir(parents=True)
        header = {
            "record": "run", "schema_version": 5, "run_id": folder.name, "kind": "bench",
            "command": ["bench"], "started_utc": started,
            "environment": {"cpu": "A CPU", "threads": [2], "commit": f"{number:010d}"},
        }  # fmt: skip
        row = {
            "record": "row", "workload": "pp32", "arm": "max", "device": "cpu", "dtype": "float32",
            "status": "VALID", "median_s": median, "ci_lo_s": median * 0.99,
            "ci_hi_s": median * 1.01, "invalid_reasons": [],
        }  # fmt: skip
        lines = (header, row, {"record": "end", "finished_utc": started})
        (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def make_run(tmp_path):
    """Writes a run and returns its folder: `make_run(kind, records, end)`."""
    return functools.partial(write_run, tmp_path)


def endpoint_run(failing=False):
    """What an endpoint's run writes: records and the end."""
    message = "token 3 is 812 ' king' in place of 266 ' in', which is likelier by 0.53 nats"
    case = {
        "record": "case", "name": "a prompt of 129 tokens", "group": "alone", "verdict": "PASS",
        "answers": 1, "at_once": 1, "wrong": 0, "tokens": 8, "ties": 1, "used": 0.3,
        "status": None, "message": "", "sampled": None,
    }  # fmt: skip
    wrong = case | {"verdict": "FAIL", "wrong": 1, "tokens": 2, "used": None, "message": message}
    answer = {
        "record": "answer", "case": "a prompt of 129 tokens", "number": 0, "prompt_tokens": 129,
        "streamed": False, "verdict": "FAIL" if failing else "PASS", "tokens": 2, "ties": 0,
        "used": None, "message": message if failing else "", "position": 2 if failing else None,
        "expected": "", "got": "", "margin": None,
    }  # fmt: skip
    many = case | {"name": "100 requests at once", "group": "load", "answers": 100, "at_once": 100}
    bad = case | {"name": "an empty prompt", "group": "operation", "status": 500}
    bad |= {"verdict": "FAIL" if failing else "PASS", "message": "internal error"}
    planted = [
        {"record": "planted", "fault": fault, "state": state, "case": "streamed", "message": "why",
         "text": "a stream ends without its last token"}
        for fault, state in (("dropped-piece", "caught"), ("exchanged", "not applicable"))
    ]  # fmt: skip
    first = {
        "case": "a prompt of 129 tokens", "group": "alone", "message": message, "position": 2,
        "expected": "266 ' in'", "got": "812 ' king'", "margin": 0.53,
        "text": "129 tokens [12, 7, 45, ...]; max_tokens 8, temperature 0",
    }  # fmt: skip
    end = {
        "verdict": "FAIL" if failing else "PASS", "line": "", "unchecked": ["seeds (it says 400)"],
        "first_wrong": first if failing else None,
        "counts": {"cases": 2, "answers": 101, "wrong": int(failing), "tokens": 808, "ties": 1,
                   "used": 0.3},
    }  # fmt: skip
    return [answer, wrong if failing else case, many, bad, *planted], end


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """A page of each kind, by name."""
    root = tmp_path_factory.mktemp("pages")
    folders = {
        "passing": write_run(root, "verify", *verification(), arrays=artefacts()),
        "failing": write_run(
            root, "verify", *verification(failing=True), arrays=artefacts(failing=True)
        ),
        "benched": write_run(root, "bench", *benchmark()),
        "beside": write_run(root, "bench", measured(*BESIDE), {"rows": 14}),
        "empty": write_run(root, "verify"),
        "deep": write_run(root, "verify", *deep_verification()),
        "answered": write_run(root, "endpoint", *endpoint_run()),
        "answered wrong": write_run(root, "endpoint", *endpoint_run(failing=True)),
    }
    found = {name: render(folder)[0] for name, folder in folders.items()}
    write_run(root, "bench", *benchmark())
    write_run(root, "verify", *verification(failing=True))
    both = compare_page(read_run(folders["passing"]), read_run(folders["failing"]))
    benches = compare_page(*[read_run(folders["benched"])] * 2)
    index = write_index(root)
    (trends,) = (root / "trends").glob("*.html")
    return found | {
        "index": index, "trends": trends, "compare": write(root / "compare.html", both),
        "benches": write(root / "benches.html", benches),
    }  # fmt: skip


@pytest.fixture
def passing(make_run):
    return make_run("verify", *verification(), arrays=artefacts())


@pytest.fixture
def failing(make_run):
    return make_run("verify", *verification(failing=True), arrays=artefacts(failing=True))


@pytest.fixture
def benched(make_run):
    return make_run("bench", *benchmark())


@pytest.fixture
def saved_run(tmp_path):
    """Puts a real run of some format, shortened, into a folder: `saved_run("version-1-bench")`."""

    def put(name):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        shutil.copy(DATA / f"{name}.jsonl", folder / "records.jsonl")
        return folder

    return put
