"""A small checkpoint in memory and on disk, a fresh interpreter, and a stand-in for the hub."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from safetensors.numpy import save_file

from impl.config import GPT2Config
from reference.checkpoint import Checkpoint
from reference.regimes import initial_weights, with_regime

ROOT = Path(__file__).parents[2]


def make_checkpoint(**sizes):
    """A perturbed checkpoint of two small layers, or of other sizes."""
    start = {"vocab_size": 67, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 4}
    config = GPT2Config(**(start | sizes))
    start = Checkpoint(name="small", config=config, weights=initial_weights(config, seed=1))
    return with_regime(start, "perturbed", seed=1)


def write_folder(folder, checkpoint):
    """Write `checkpoint` as the hub would hold it."""
    folder.mkdir(exist_ok=True)
    config = asdict(checkpoint.config) | {"model_type": "gpt2"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(dict(checkpoint.weights), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def small():
    return make_checkpoint()


@pytest.fixture(scope="session")
def sized():
    """Make a checkpoint of other sizes."""
    return make_checkpoint


@pytest.fixture
def folder(tmp_path, small):
    """The small checkpoint as a folder, to be spoilt by a test."""
    return write_folder(tmp_path / "model", small)


@pytest.fixture(scope="session")
def fresh_python():
    """Run code in another interpreter, in the repository's root; return its last line's JSON."""

    def run(code, *args, **environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        kept = {k: v for k, v in inherited.items() if not k.lower().endswith("_proxy")}
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=ROOT,
            env=kept | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


COMMIT = "c0ffee" + 34 * "0"


class HubHandler(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download needs, over the folder of `server.models`."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        self.server.requests.append(path)
        model = next((m for m in self.server.models if f"{m}/" in path), None)
        if model is None:
            return self._refuse(401, "RepoNotFound")
        folder, fault = self.server.models[model]
        kind, _, rest = path.partition(f"{model}/")[2].partition("/")
        revision, _, file = rest.partition("/")
        if fault == "unauthorised":
            return self._refuse(401, None)
        if fault == "broken" and kind != "revision":
            return self._refuse(500, None)
        if revision not in ("main", "v1", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        if kind == "revision":
            files = [{"rfilename": name.name} for name in folder.iterdir()]
            return self._send_json({"id": model, "sha": COMMIT, "siblings": files})
        if kind == "tree":
            return self._send_json(
                [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f"{i:040x}"}
                    for i, f in enumerate(sorted(folder.iterdir()))
                ]
            )
        if fault == "gated":
            return self._refuse(401, "GatedRepo")
        return self._send((folder / file).read_bytes(), etag=file)

    def _refuse(self, status, code):
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_json(self, value):
        self._send(json.dumps(value).encode())

    def _send(self, body, etag="none"):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Hub(ThreadingHTTPServer):
    """A hub on this machine; `models` maps an id to its folder and to what goes wrong with it."""

    commit = COMMIT

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.models = {}
        self.requests = []


@contextmanager
def serving():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


@pytest.fixture
def hub(folder):
    """A hub that holds the small checkpoint as `someone/small` and, with faults, by other ids."""
    with serving() as hub:
        for name in ("small", "gated", "unauthorised", "broken"):
            hub.models[f"someone/{name}"] = (folder, name)
        yield hub
