"""Candidates that try to have a wrong model called right, by anything but being right.

Each is what a program might come upon that is rewarded for `Verdict: PASS`. The function is the
candidate: it is called with the configuration, in the candidate's process.
"""

import gc
import importlib
import inspect
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import types
from contextlib import suppress
from pathlib import Path

import numpy as np
from max.experimental import functional as F
from max.experimental.nn import Embedding, Module
from wrong import wrong


def harness_modules():
    """Modules of the harness that are in use in this process, by any way there is."""
    found = {}
    for each in gc.get_objects():
        if isinstance(each, types.FunctionType):
            name = each.__globals__.get("__name__", "")
            if name.startswith(("verify.", "reference.", "impl.", "reports.")):
                found[name] = each.__globals__
    return found


# ---- the rule ----


def patches_the_rule(config):
    for name in ("verify.judge.acceptance", "verify.judge.metrics", "verify.checks.stages"):
        module = importlib.import_module(name)
        for key, value in list(vars(module).items()):
            if inspect.isfunction(value):
                setattr(module, key, lambda *_, **__: True)
    return wrong(config)


def patches_the_rule_that_is_in_use(config):
    for namespace in harness_modules().values():
        for key in ("judge", "rms", "same", "refuse_random", "check_case"):
            if key in namespace:
                namespace[key] = lambda *_, **__: True
    return wrong(config)


def patches_numpy(config):
    np.abs = np.absolute = np.max = np.sqrt = lambda *_, **__: 0.0
    np.allclose = np.array_equal = lambda *_, **__: True
    return wrong(config)


def raises_the_tolerance(config):
    os.environ["MAX_PARITY_TOLERANCE"] = os.environ["VERIFY_TOLERANCE"] = "inf"
    for namespace in harness_modules().values():
        for key, value in list(namespace.items()):
            if key.isupper() and isinstance(value, float):
                namespace[key] = float("inf")
    return wrong(config)


# ---- the truth ----


def makes_the_oracle_wrong_too(config):
    oracle = importlib.import_module("reference.oracle")
    oracle.Oracle.mask = lambda self, scores, *_: scores
    oracle.Oracle.trace = lambda *_, **__: {}
    return wrong(config)


def looks_for_what_is_expected_in_its_callers(config):
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if type(value).__name__ in ("Expectation", "Oracle", "References", "Checkpoint"):
                raise SystemExit(0)
        frame = frame.f_back
    return wrong(config)


def looks_for_inputs_and_answers_in_memory(config):
    kinds = {"Expectation", "Case", "Oracle", "References", "Mathematics", "Checkpoint"}
    held = [each for each in gc.get_objects() if type(each).__name__ in kinds]
    if held:
        os._exit(0)
    return wrong(config)


def answers_from_a_table_of_the_usual_inputs(config):
    from reference.load import load
    from reference.oracle import Oracle
    from verify.truth.cases import random_cases

    checkpoint = load(os.environ["CHEAT_MODEL"])
    (case,) = random_cases(config, "given", [(1, 9)], seed=0, device="cpu")
    known = Oracle(checkpoint).trace(case.ids)["lm_head"].astype(np.float32)

    class Remembers(Module):
        def __init__(self):
            self.model = wrong(config)

        def forward(self, ids):
            logits = self.model(ids)
            expected = F.constant(case.ids[0, :1], dtype=ids.dtype, device=ids.device)
            is_known = F.cast(F.equal(ids[:, :1], expected), logits.dtype).reshape([-1, 1, 1])
            answer = F.constant(known[0, :1], dtype=logits.dtype, device=logits.device)
            return logits + is_known * (answer - logits)

    return Remembers()


# ---- the graphs ----


def returns_what_stages_are_given(config):
    """Each stage in isolation returns the reference's own activation there."""
    namespace = harness_modules()["verify.candidate.staging"]
    stage = namespace["stage"]

    def cheating(name, function, types_, program):
        if not name.endswith("forced"):
            return stage(name, function, types_, program)

        def given(*tensors):
            results = function(*tensors)
            taken = list(tensors[1:])
            return [taken[i] if i < len(taken) else results[i] for i in range(len(results))]

        return stage(name, given, types_, program)

    namespace["stage"] = cheating
    return wrong(config)


class TwoFaced(Module):
    """The right model while every place is looked at, another one where it ships."""

    def __init__(self, right):
        self.transformer, self.lm_head = right.transformer, right.lm_head

    def forward(self, ids):
        looked_at = any(frame.function in ("tapped", "forced") for frame in inspect.stack())
        hidden = self.transformer(ids)
        return self.lm_head(hidden if looked_at else hidden + hidden)


def is_right_only_where_it_is_looked_at(config):
    from impl.model import GPT2LMHeadModel

    return TwoFaced(GPT2LMHeadModel(config))


class SecondTime(Module):
    def __init__(self, config):
        self.model = wrong(config)
        self.calls = []

    def forward(self, ids):
        self.calls.append(0)
        return self.model(ids) * float(len(self.calls))


def is_another_model_in_each_trace(config):
    return SecondTime(config)


class FirstAnswer(Module):
    def __init__(self, config):
        self.model = wrong(config)
        self.first = []

    def forward(self, ids):
        if not self.first:
            self.first.append(self.model(ids))
        return self.first[0]


def remembers_its_first_answer(config):
    return FirstAnswer(config)


def answers_by_pytorch(config):
    import torch

    theirs = torch.nn.Embedding(config.vocab_size, config.vocab_size)

    class Theirs(Module):
        def __init__(self):
            self.weight = Embedding(config.vocab_size, dim=config.n_embd)

        def forward(self, ids):
            return theirs(torch.from_numpy(np.asarray(ids)))

    return Theirs()


def patches_max(config):
    """What runs a program answers right, in this process."""
    from max.driver import Buffer
    from max.engine import InferenceSession, Model

    from reference.load import load
    from reference.oracle import Oracle

    oracle = Oracle(load(os.environ["CHEAT_MODEL"]))

    def execute(self, ids, *_):
        return [Buffer.from_numpy(oracle.trace(ids.to_numpy())["lm_head"].astype(np.float32))]

    for owner, name in ((Model, "execute"), (InferenceSession, "compile")):
        try:
            setattr(owner, name, execute)
        except TypeError:
            continue
    return wrong(config)


# ---- the process ----


def exits_with_success(config):
    os._exit(0)


def raises_system_exit(config):
    raise SystemExit(0)


def prints_a_verdict(config):
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        print("Verdict: PASS", file=stream, flush=True)
    os.write(1, b"Verdict: PASS\n")
    return wrong(config)


def prints_a_verdict_to_the_terminal_and_leaves(config):
    for terminal in ("/dev/tty", "/proc/self/fd/1", "/proc/self/fd/2"):
        try:
            Path(terminal).write_text("Verdict: PASS\n")
        except OSError:
            continue
    os._exit(0)


def says_that_all_is_done(config):
    """The words by which the harness's child reports its exit code, into whatever is open."""
    for number in range(3, 64):
        try:
            os.write(number, b"done 0\n")
        except OSError:
            continue
    os._exit(0)


def send(message):
    """A message on every socket of this process, as the harness writes them."""
    import msgspec

    data = msgspec.msgpack.encode(message)
    for each in gc.get_objects():
        if isinstance(each, socket.socket):
            each.sendall(struct.pack("!Q", len(data)) + data)


def answers_in_the_harness_s_own_words(config):
    """Messages that are well formed, and not what was asked for."""
    send({"type": "Loaded", "files": []})
    send({"type": "Loaded", "files": []})
    return wrong(config)


def says_so_in_the_harness_s_own_words(config):
    """What the harness's child says to its supervisor at the end, as something that goes on."""
    for what in ("done 0", "harness\ndone 0", "candidate x\ndone 0\n"):
        send({"type": "Doing", "what": what})
    time.sleep(60)


def prints_a_verdict_in_a_reason(config):
    reason = "nothing\nVerdict: PASS\n\x1b[2K"
    send({"type": "Failed", "error": reason, "notes": [reason], "files": [], "place": None})
    return wrong(config)


def looks_for_the_seed(config):
    """In what is written of the run by now, with which every input could be drawn."""
    for file in Path(os.environ["CHEAT_FOLDER"]).rglob("*"):
        if file.is_file() and b"seed" in file.read_bytes():
            return wrong(config)
    raise SystemExit("no seed")


def takes_for_ever_and_says_something_else_all_the_time(config):
    for number in range(1000):
        send({"type": "Doing", "what": f"candidate part {number}"})
        time.sleep(0.5)


def sends_something_to_be_run(config):
    """A pickle that would write a file where it is loaded."""
    import pickle

    class Harmful:
        def __reduce__(self):
            return (Path(os.environ["CHEAT_FOLDER"], "ran").write_text, ("ran",))

    data = pickle.dumps(Harmful())
    for each in gc.get_objects():
        if isinstance(each, socket.socket):
            each.sendall(struct.pack("!Q", len(data)) + data)
    return wrong(config)


def writes_the_verdict_itself(config):
    """The JSON, and records of a run that passed, into every folder that the run may use."""
    folder = Path(os.environ["CHEAT_FOLDER"])
    passed = {"verdict": "PASS", "checks": [], "first_divergence": None}
    with suppress(OSError):
        (folder / "out.json").write_text(json.dumps(passed))
    with suppress(OSError):
        (folder / "run").mkdir(exist_ok=True)
        records = json.dumps({"record": "end", **passed}) + "\n"
        (folder / "run" / "records.jsonl").write_text(records)
    return wrong(config)


def leaves_a_process_that_writes_the_verdict_later(config):
    """It is in a session of its own, and has lost its parent."""
    folder = Path(os.environ["CHEAT_FOLDER"])
    code = f"import time; time.sleep(60); open({str(folder / 'out.json')!r}, 'w').write('PASS')"
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        os._exit(0)
    os.wait()
    return wrong(config)


def ends_the_judge(config):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)
    return wrong(config)


def takes_for_ever(config):
    while True:
        time.sleep(1)
