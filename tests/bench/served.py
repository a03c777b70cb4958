"""Servers whose answers and service times are known, and the command in a process of its own."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

from tests.processes import ROOT
from verify.endpoint.servers import Server, free_port

QUEUE = ROOT / "tests" / "bench" / "serving" / "queue_server.py"
STAND_IN = ROOT / "tests" / "verify" / "endpoint" / "stand_in.py"


@contextmanager
def running(folder, script, *options):
    """A server of a script: its address."""
    port = free_port()
    command = [sys.executable, str(script), "--port", str(port), *map(str, options)]
    url = f"http://127.0.0.1:{port}"
    with Server(command, ready=f"{url}/v1/models", log=folder / f"server-{port}.log"):
        yield url


class Done:
    """What the command left."""

    def __init__(self, process, folder):
        self.code, self.out = process.returncode, process.stdout + process.stderr
        self.folder = folder / "run"
        answer = folder / "out.json"
        self.json = json.loads(answer.read_text()) if answer.exists() else None

    def records(self, kind):
        lines = (self.folder / "records.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["record"] == kind]


def bench_serve(folder, *options):
    """Run `python -m bench serve` to its end."""
    command = [sys.executable, "-m", "bench", "serve", *map(str, options), "--out",
               str(folder / "run"), "--json", str(folder / "out.json")]  # fmt: skip
    process = subprocess.run(command, cwd=ROOT, env=os.environ, check=False, timeout=300,
                             capture_output=True, text=True)  # fmt: skip
    return Done(process, folder)
