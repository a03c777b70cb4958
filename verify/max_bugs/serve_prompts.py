"""MAX Serve and prompts of token ids that it should refuse, or take as they are.

    [300] of a vocabulary of 257   no answer, and the server ends, with all requests that are open
    []                             500, the server's own failure, where 400 says what is wrong
    [0xC3], a byte of "é" alone    the text of the answer begins with that of the prompt

The ids of a prompt go to the model as they came. A gather on a CPU then fails in the process that
computes for everybody, and the server takes that for its end.

Seen with MAX 26.7.0.

    python verify/max_bugs/serve_prompts.py

draws a tiny Llama whose tokens are the 256 bytes and an end, serves it by `max serve`, asks, prints
what came back, and exits with 1 while one of them is there, with 0 once all are gone. It takes a
minute or two, nearly all of it for compiling.
"""

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

BYTES = 256
BEYOND = 300
WORDS = list(b"In the beginning ")
LONGEST_S = 600
"""Until it answers, at most."""


def write_llama(folder: Path) -> None:
    """A tiny Llama with weights that are drawn, and a tokenizer of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=_byte_of)
    words = {character: number for number, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = {"eos_token": "<end>"}
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends)
    whole.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=BYTES + 1, hidden_size=64, intermediate_size=96, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256,
        bos_token_id=None, eos_token_id=BYTES, pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


def _byte_of(character: str) -> int:
    """Which byte a character of GPT-2's alphabet stands for: the printable ones for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if ord(character) in printable:
        return ord(character)
    others = [byte for byte in range(256) if byte not in printable]
    return others[ord(character) - 256]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`max serve`: its address, and the process."""
    program = shutil.which("max")
    if program is None:
        sys.exit("the command `max` is not there: pip install modular")
    port, metrics = (_free_port() for _ in range(2))
    quiet = {"MODULAR_TELEMETRY_ENABLED": "false", "MAX_SERVE_DISABLE_TELEMETRY": "1"}
    beside = {"MAX_SERVE_METRICS_ENDPOINT_PORT": str(metrics), "HF_HUB_OFFLINE": "1"}
    command = [program, "serve", "--model", str(folder), "--served-model-name", "llama",
               "--host", "127.0.0.1", "--port", str(port), "--devices", "cpu",
               "--quantization-encoding", "float32", "--max-batch-size", "4"]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ, **quiet, **beside}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def asked(url: str, prompt: list[int]) -> tuple[int, str]:
    """The status and the text of an answer; (0, why) without one."""
    body = {"model": "llama", "prompt": prompt, "max_tokens": 4, "temperature": 0}
    request = urllib.request.Request(  # noqa: S310 - of the server here
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - likewise
            return response.status, json.load(response)["choices"][0]["text"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")[:200]
    except OSError as error:
        return 0, str(error)


def measure() -> dict[str, str]:
    """What is wrong, by its name; what is right is not there."""
    wrong = {}
    with tempfile.TemporaryDirectory() as name:
        write_llama(Path(name))
        with served(Path(name)) as (url, process):
            _wait(url, process)
            plain = asked(url, WORDS)
            cut = asked(url, [*WORDS, 0xC3])
            empty = asked(url, [])
            beyond = asked(url, [BEYOND])
            after = asked(url, WORDS)
    beginning = bytes(WORDS).decode().strip()
    if cut[0] == plain[0] == 200 and beginning in cut[1]:
        wrong["the prompt in the answer"] = repr(cut[1])
    if not 400 <= empty[0] < 500:
        wrong["an empty prompt"] = f"{empty[0]} {empty[1]}"
    if not 400 <= beyond[0] < 500 or after[0] != 200:
        wrong["an id beyond the vocabulary"] = (
            f"{beyond[0]} {beyond[1]}; then {after[0]} {after[1]}"
        )
    return wrong


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LONGEST_S
    while asked(url, WORDS)[0] != 200:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("max serve does not answer")
        time.sleep(1)


def main() -> int:
    """Print what is wrong; 1 while something is."""
    print(f"MAX {importlib.metadata.version('max')}")
    wrong = measure()
    for name, what in wrong.items():
        print(f"{name}: {what}")
    print("wrong" if wrong else "right")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
