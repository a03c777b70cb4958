# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 17. Serve it
#
# A model that others can use is a server: tokens in, tokens out, over HTTP, for many callers at
# once. After this chapter you will know
#
# - how a completions endpoint works, in about a hundred lines: requests, batching, streaming;
# - why requests are computed together, how a new one joins while others are half done, and how to
#   prove that nobody's answer changes by that;
# - which figures describe a server (time to first token, time per token, throughput, percentiles),
#   and what load does to them;
# - what MAX Serve adds, and how this project checks and times it.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import asyncio
import json
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import httpx
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from bench.serving.latency import times_of
from impl.tokenizer import Tokenizer
from reference.load import TINY_FOLDER, load
from reference.oracle import Oracle
from reference.trace import Recorder
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import BLACK, BLUE, ORANGE, figure, show

checkpoint = load("tiny")
config = checkpoint.config
oracle = Oracle(checkpoint)
tokenizer = Tokenizer.load(TINY_FOLDER)

# %% [markdown]
# ## A model with slots
#
# [Chapter 14](ch14_kv_cache.py) gave the oracle a cache for one text. A server has several texts
# under way, and each has another length. So the cache gets *slots*, one for each request, and
# everything that depends on the length is done row by row: where new keys are written, which
# position a token has, which keys it may see.


# %%
class Slots(Oracle):
    """A GPT-2 whose cache has room for several texts of unequal lengths."""

    def __init__(self, checkpoint, slots):
        super().__init__(checkpoint)
        shape = config.n_layer, 2, slots, config.n_head, config.n_positions, config.head_dim
        self.cache = np.zeros(shape)  # layer, key or value, slot
        self.lengths = np.zeros(slots, int)

    def read(self, ids, slots):
        """The logits [rows, vocab_size] after further tokens [rows, new] of these slots."""
        self.tap, self.slots, self.starts = Recorder(), slots, self.lengths[slots]
        logits = self.language_model(ids)
        self.lengths[slots] += ids.shape[1]
        return logits[:, -1]

    def positions(self, ids):
        """Each row goes on where it ended: [rows, new]."""
        return self.starts[:, None] + np.arange(ids.shape[1])

    def attend(self, fused, path):
        """Queries of the new tokens, keys and values of the row's own slot."""
        query, *new = map(self.split_heads, np.split(fused, 3, axis=-1))
        cache, count = self.cache[int(path.split(".")[2])], fused.shape[1]
        for row, (slot, start) in enumerate(zip(self.slots, self.starts, strict=True)):
            for kept, values in zip(cache, new, strict=True):
                kept[slot, :, start : start + count] = values[row]
        keys, values = cache[:, self.slots, :, : self.starts.max() + count]
        scores = self.matmul(query, keys.swapaxes(-1, -2)) * self.scale(path)
        return self.merge_heads(self.matmul(self.softmax(self.masked(scores)), values))

    def masked(self, scores):
        """Keys after a token's own position are hidden, another row's padding among them."""
        new, total = scores.shape[-2:]
        own = self.starts[:, None] + np.arange(new)  # [rows, new]
        ahead = np.arange(total) > own[:, :, None]  # [rows, new, total]
        return np.where(ahead[:, None], -np.inf, scores)


# %% [markdown]
# Three texts of unequal lengths are read one by one, then go on together. Each must be what it
# would be alone.

# %%
texts = ["And it came to pass", "In the beginning", "The king said unto his servants, Go"]
prompts = [tokenizer.encode(text) for text in texts]
model = Slots(checkpoint, slots=3)
for slot, prompt in enumerate(prompts):
    model.read(np.array([prompt]), [slot])
together = model.read(np.array([[5], [6], [7]]), [0, 1, 2])
for row, prompt in enumerate(prompts):
    alone = oracle.trace(np.array([[*prompt, 5 + row]]))["lm_head"][0, -1]
    off = np.abs(together[row] - alone).max()
    print(f"{len(prompt):2} tokens and one more, beside others: largest difference {off:.1e}")
    assert off < 1e-12

# %% [markdown]
# ## Continuous batching
#
# A decode step reads all weights for one token of one row. For eight rows it reads the same weights
# once, so eight tokens cost hardly more than one ([chapter 16](ch16_is_it_fast.py)). The simplest
# way to batch is to wait until eight requests are there, and to answer them all. But texts end at
# unequal times, and who comes late waits for all.
#
# *Continuous batching* (Yu et al. 2022) decides anew at every step: whoever is waiting gets a free
# slot and has its prompt read, all running rows take one token, whoever is done leaves. The engine
# below does that. It runs beside the server's event loop, and hands each token to the request that
# asked for it.


# %%
class Engine:
    """Answers requests together; greedy. `most` rows run at the same time."""

    def __init__(self, model, most):
        self.model, self.most = model, most
        self.free = list(range(len(model.lengths)))
        self.waiting, self.running = deque(), {}  # running: slot -> request
        self.work = asyncio.Event()

    async def generate(self, prompt, count):
        """Yield `count` tokens that continue a prompt."""
        request = {"ids": list(prompt), "left": count, "tokens": asyncio.Queue()}
        self.waiting.append(request)
        self.work.set()
        for _ in range(count):
            yield await request["tokens"].get()

    async def run(self):
        """Step while there is work, for ever."""
        while True:
            await self.work.wait()
            for request, token in await asyncio.to_thread(self.step):
                request["tokens"].put_nowait(token)
            if not (self.waiting or self.running):
                self.work.clear()

    def step(self):
        """One token for every running request; who waits is let in first."""
        new, running = [], list(self.running)
        while self.waiting and len(self.running) < self.most:
            slot, request = self.free.pop(), self.waiting.popleft()
            self.model.lengths[slot] = 0
            self.running[slot] = request
            new += self.take([slot], self.model.read(np.array([request["ids"]]), [slot]))
        if running:
            last = np.array([[self.running[slot]["ids"][-1]] for slot in running])
            new += self.take(running, self.model.read(last, running))
        for slot, request, _ in new:
            if request["left"] == 0:
                del self.running[slot]
                self.free.append(slot)
        return [(request, token) for _, request, token in new]

    def take(self, slots, logits):
        """The best token of each row, noted."""
        found = []
        for slot, token in zip(slots, logits.argmax(axis=-1).tolist(), strict=True):
            request = self.running[slot]
            request["ids"].append(token)
            request["left"] -= 1
            found.append((slot, request, token))
        return found


# %% [markdown]
# ## The endpoint
#
# The form of requests and answers is that of OpenAI's completions, which nearly every client and
# server speaks. What cannot be answered is refused with a sentence, before it reaches the model:
# a token id beyond the vocabulary or a prompt beyond the context would be an error in the middle of
# everybody's batch. With `stream` each token is sent as soon as it is there, as a *server-sent
# event*.

# %%
MOST = 8
engine = Engine(Slots(checkpoint, slots=MOST), most=MOST)


def problem(asked):
    """Why a request cannot be answered, or nothing."""
    if not isinstance(asked, dict):
        return "the body must be a JSON object"
    prompt, count = asked.get("prompt"), asked.get("max_tokens", 16)
    if not isinstance(prompt, str | list) or not prompt:
        return "prompt must be a text or a list of token ids, and not empty"
    if asked.get("temperature", 0) != 0:
        return "this server is greedy: temperature must be 0"
    if not isinstance(count, int) or count < 1:
        return f"max_tokens must be a whole number above 0, not {count}"
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    if not all(isinstance(t, int) and 0 <= t < config.vocab_size for t in ids):
        return f"token ids run from 0 to {config.vocab_size - 1}"
    if len(ids) + count > config.n_positions:
        return f"{len(ids)} tokens and {count} more are beyond {config.n_positions} positions"
    return ""


async def completions(request):
    """POST /v1/completions."""
    try:
        asked = await request.json()
    except json.JSONDecodeError:
        return JSONResponse({"error": "the body is not JSON"}, 400)
    if why := problem(asked):
        return JSONResponse({"error": why}, 400)
    prompt, count = asked["prompt"], asked.get("max_tokens", 16)
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    tokens = engine.generate(ids, count)
    if asked.get("stream"):
        return StreamingResponse(events(tokens), media_type="text/event-stream")
    found = [token async for token in tokens]
    choice = {"index": 0, "text": tokenizer.decode(found), "tokens": found}
    usage = {"prompt_tokens": len(ids), "completion_tokens": len(found)}
    return JSONResponse({"choices": [{**choice, "finish_reason": "length"}], "usage": usage})


async def events(tokens):
    """Each token as a server-sent event."""
    async for token in tokens:
        choice = {"index": 0, "text": tokenizer.decode([token]), "tokens": [token]}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


@asynccontextmanager
async def lifespan(app):
    """The engine runs as long as the server does."""
    task = asyncio.create_task(engine.run())
    yield
    task.cancel()


app = Starlette(routes=[Route("/v1/completions", completions, methods=["POST"])], lifespan=lifespan)

# %% [markdown]
# It runs in a thread of this notebook, on a port that the system chooses, and nobody outside of
# this machine can reach it.

# %%
listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
thread.start()
client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
url = "/v1/completions"

answer = client.post(url, json={"prompt": "And it came to pass", "max_tokens": 12}).json()
print(json.dumps(answer, indent=1))
with client.stream("POST", url, json={"prompt": "In the", "max_tokens": 3, "stream": True}) as said:
    print(*filter(None, said.iter_lines()), sep="\n")
for wrong in ([], {"prompt": ""}, {"prompt": [2000]}, {"prompt": "a", "max_tokens": 500}):
    refused = client.post(url, json=wrong)
    print(refused.status_code, refused.json()["error"])
    assert refused.status_code == 400

# %% [markdown]
# ## Is it the model?
#
# Twenty-four callers at once, with prompts of unequal lengths. The judge is the oracle, which has
# no cache, no batch and no server: prompt and answer are given to it in one pass, and every token
# of the answer must be its best one. (So does `python -m verify endpoint`, for any server.)

# %%
held_out = tokenizer.encode((TINY_FOLDER / "heldout.txt").read_text(encoding="utf-8"))
rng = np.random.default_rng(17)
asked = [held_out[at : at + size] for at, size in zip(
    rng.integers(0, 1000, 24).tolist(), rng.integers(4, 40, 24).tolist(), strict=True)]  # fmt: skip


def ask(prompt, count=16):
    """The tokens that the server gives."""
    said = client.post(url, json={"prompt": prompt, "max_tokens": count}).json()
    return said["choices"][0]["tokens"]


def wrong_tokens(prompt, found):
    """Places of an answer's tokens that are not the oracle's choice."""
    logits = oracle.trace(np.array([prompt + found]))["lm_head"][0, len(prompt) - 1 : -1]
    return np.flatnonzero(logits.argmax(axis=-1) != found).tolist()


with ThreadPoolExecutor(24) as callers:
    answers = list(callers.map(ask, asked))
    judged = [wrong_tokens(p, a) for p, a in zip(asked, answers, strict=True)]
count, wrong = sum(map(len, answers)), sum(map(len, judged))
print(f"{count} tokens of {len(asked)} callers at once, {wrong} wrong")
assert not any(judged)

engine.most = 1  # one after the other: the answers must be the same
assert [ask(prompt) for prompt in asked[:8]] == answers[:8]
engine.most = MOST

# %% [markdown]
# Would a mistake be noticed? We plant one that servers have had: in decode steps the positions of
# all rows are those of the first row. A caller who is alone never sees it.

# %%
right = Slots.positions
Slots.positions = lambda self, ids: np.repeat(right(self, ids)[:1], len(ids), axis=0)
lonely = wrong_tokens(asked[0], ask(asked[0]))
with ThreadPoolExecutor(24) as callers:
    crowd = [wrong_tokens(p, a) for p, a in zip(asked, callers.map(ask, asked), strict=True)]
Slots.positions = right
print(f"alone: {len(lonely)} wrong tokens; 24 at once: {sum(map(len, crowd))} wrong tokens in "
      f"{sum(map(bool, crowd))} of 24 answers")  # fmt: skip
assert not lonely
assert any(crowd)

# %% [markdown]
# ## How fast is it?
#
# From the caller's side there are three times:
#
# - **time to first token** (TTFT): waiting in the queue, reading the prompt, one step;
# - **time per output token** (TPOT): the mean gap between the tokens after that;
# - **end to end**: until the last one.
#
# And from the operator's side *throughput*, tokens per second over all callers. These pull in
# opposite directions: a larger batch gives more tokens per second in all, and fewer to each.
#
# Below, 1 to 12 callers, each of whom asks again as soon as it is answered (a *closed loop*): with
# one row at a time, and with up to eight.


# %%
def timed(prompt, count=16):
    """One streamed answer: its times in the form of the benchmark's records."""
    body = {"prompt": prompt, "max_tokens": count, "stream": True}
    scheduled = time.perf_counter_ns()
    with client.stream("POST", url, json=body) as said:
        tokens = (line for line in said.iter_lines() if line.startswith("data: {"))
        arrived = [time.perf_counter_ns() for _ in tokens]
    ended = time.perf_counter_ns()
    return {"scheduled_ns": scheduled, "arrived_ns": arrived, "ended_ns": ended,
            "tokens": len(arrived), "error": ""}  # fmt: skip


loads = [1, 2, 4, 8, 12]
results = {}
for most in (1, MOST):
    engine.most = most
    for callers_count in loads:
        jobs = [asked[n % 24] for n in range(max(6, 2 * callers_count))]
        start = time.perf_counter()
        with ThreadPoolExecutor(callers_count) as callers:
            done = list(callers.map(timed, jobs))
        seconds = time.perf_counter() - start
        times = [times_of(one) for one in done]
        results[most, callers_count] = {
            "tokens/s": sum(one["tokens"] for one in done) / seconds,
            **{key: np.percentile([t[key] for t in times], [50, 90]) for key in ("ttft", "tpot")},
        }

print("rows  callers  tokens/s   TTFT p50  p90     TPOT p50  p90   (ms)")
for (most, callers_count), found in results.items():
    (t50, t90), (o50, o90) = found["ttft"], found["tpot"]
    first, each = f"{t50:10.1f} {t90:6.1f}", f"{o50:10.2f} {o90:6.2f}"
    print(f"{most:4} {callers_count:8} {found['tokens/s']:9.0f} {first} {each}")

# %%
drawn, (left, right_axes) = figure(1, 2, size=(7.5, 2.9))
for most, label, colour in ((1, "one row at a time", BLUE), (MOST, "up to eight rows", ORANGE)):
    found = [results[most, n] for n in loads]
    left.plot(loads, [one["tokens/s"] for one in found], "o-", color=colour, label=label)
    for place, style, name in ((0, "o-", "median"), (1, "o:", "p90")):
        values = [one["ttft"][place] for one in found]
        right_axes.plot(loads, values, style, color=colour, label=f"{label}, {name}")
left.set(xlabel="callers", ylabel="tokens a second", title="Throughput", ylim=(0, None))
left.legend()
right_axes.set(xlabel="callers", ylabel="ms", title="Time to first token", yscale="log")
right_axes.legend(fontsize=7)
show(
    drawn, "Throughput and time to first token over the number of callers, with and without batches"
)

# %% [markdown]
# A percentile needs samples: with twelve answers p90 is hardly more than the worst one, and p99
# would be invented. `bench serve` shows p99 from 299 answers on.
#
# ## Open loops, and the knee
#
# Real callers do not wait for each other. They arrive at some *rate*, whatever the server has
# answered: an *open loop*. And then latency has to count from the time at which a request was
# *due*. A client that sends the next request only when the last answer has come measures a slow
# server in its easiest moments (*coordinated omission*).
#
# What happens when the rate nears the server's capacity, theory says. With a service time of $S$,
# arrivals at random and a busy share $\rho = \text{rate} \times S$, one server has the mean latency
#
# $$S \left( 1 + \frac{\rho}{2 (1 - \rho)} \right)$$
#
# (M/D/1: Poisson arrivals, equal service times). It doubles at $\rho = 2/3$ and is without bound at
# 1.


# %%
def queue(arrivals, service):
    """Latency of each request of a server that answers one after the other."""
    free, latencies = 0.0, []
    for due in arrivals:
        free = max(free, due) + service
        latencies.append(free - due)
    return np.array(latencies)


rhos = np.array([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
gaps = rng.exponential(size=50_000)
simulated = np.array([queue(np.cumsum(gaps / rho), 1.0).mean() for rho in rhos])
formula = 1 + rhos / (2 * (1 - rhos))
assert np.abs(simulated / formula - 1).max() < 0.1

drawn, axes = figure(size=(5.5, 2.8))
fine = np.linspace(0, 0.93, 200)
axes.plot(fine, 1 + fine / (2 * (1 - fine)), label="M/D/1, by formula")
axes.plot(rhos, simulated, "o", label="simulated: 50,000 requests")
axes.axhline(2, color=BLACK, linewidth=0.8, linestyle=":")
axes.set(xlabel="share of the capacity that arrives", ylabel="mean latency / service time")
axes.set_title("The knee: twice the latency at two thirds of the capacity")
axes.legend()
show(drawn, "Mean latency over load: slow growth, then without bound near the capacity")

# %% [markdown]
# So a server is not described by one latency, but by a curve; and it is not run at its capacity,
# but below its knee. Now stop it. Nothing may be left running.

# %%
client.close()
server.should_exit = True
thread.join(timeout=60)
assert not thread.is_alive()
with socket.socket() as probe:
    refused = probe.connect_ex(("127.0.0.1", port))
print("the server has stopped" if refused else "it still answers")
assert refused

# %% [markdown]
# ## MAX Serve
#
# What our hundred lines lack, MAX Serve has: a cache in pages of 128 tokens instead of slots as
# long as the longest text; prompts that begin alike share pages; long prompts are read in parts,
# between other requests' steps; sampling in the graph; several devices; metrics. `impl/serving/`
# teaches it this project's GPT-2, with the modules that the rest of the project verifies,
# unchanged.
#
# ```sh
# tox -e serve                                  # MAX Serve with tiny, on loopback, until Ctrl-C
# python -m verify endpoint URL --model tiny    # every token, log-probability, stream and sample
# python -m bench serve URL --check tiny        # open and closed loops, percentiles, the knee
# ```
#
# `verify endpoint` asks as we did, alone and 100 at once, judges by the oracle, and plants twelve
# faults to show that its questions would notice them. `bench serve` counts latency from the
# scheduled time, checks every answer, and shows no speed for a load with a wrong one.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** From times to figures. A request was due at `scheduled`, its tokens came at
# `arrived` (a list, in seconds), the connection closed at `ended`. Return a dict with `ttft`,
# `tpot` (None where only one token came) and `e2e`, in milliseconds.


# %% tags=["exercise"]
def figures(scheduled, arrived, ended): ...  # your turn


# %% tags=["check"]
@check(figures)
def counts_as_the_benchmark_does(answer):
    """Against bench/serving/latency.py."""
    for arrived, ended in (([1.2, 1.25, 1.35], 1.4), ([2.0], 2.0)):
        record = {"scheduled_ns": 10**9, "arrived_ns": [round(1e9 * t) for t in arrived],
                  "ended_ns": round(1e9 * ended), "tokens": len(arrived), "error": ""}  # fmt: skip
        found, wanted = answer(1.0, list(arrived), ended), times_of(record)
        for key, value in wanted.items():
            assert key in found, f"{key} is missing"
            if value is None:
                assert found[key] is None, f"{key} of one token is None, not {found[key]}"
            else:
                assert abs(found[key] - value) < 1e-6, f"{key} is {value:g} ms, not {found[key]:g}"


# %% tags=["solution", "hide-input"]
def figures_solution(scheduled, arrived, ended):
    gaps = len(arrived) - 1
    return {
        "ttft": 1e3 * (arrived[0] - scheduled),
        "tpot": 1e3 * (arrived[-1] - arrived[0]) / gaps if gaps else None,
        "e2e": 1e3 * (ended - scheduled),
    }


counts_as_the_benchmark_does(figures_solution)

# %% [markdown]
# **Exercise 2.** A server with `rows` rows that answers requests independently: each takes
# `service` seconds once it has begun, and begins as soon as a row is free, in the order of arrival.
# Return the latency of each request.


# %% tags=["exercise"]
def latencies_with_rows(arrivals, service, rows): ...  # your turn


# %% tags=["check"]
@check(latencies_with_rows)
def who_waits_for_whom(answer):
    """By hand, and against the queue above."""
    found = answer([0.0, 0.0, 0.0], 1.0, 2)
    assert list(found) == [1.0, 1.0, 2.0], f"two begin at once, the third waits: not {list(found)}"
    found = answer([0.0, 5.0], 1.0, 1)
    assert list(found) == [1.0, 1.0], "nobody waits for a server that is idle"
    due = np.cumsum(np.random.default_rng(0).exponential(size=300))
    off = np.abs(np.asarray(answer(due, 0.8, 1)) - queue(due, 0.8)).max()
    assert off < 1e-9, "with one row it is the queue above"
    assert np.mean(answer(due, 1.6, 2)) > np.mean(answer(due, 0.8, 1)), (
        "two rows of half the speed have the same capacity, and answer later"
    )


# %% tags=["solution", "hide-input"]
def latencies_with_rows_solution(arrivals, service, rows):
    free, latencies = [0.0] * rows, []
    for due in arrivals:
        row = int(np.argmin(free))
        free[row] = max(free[row], due) + service
        latencies.append(free[row] - due)
    return latencies


who_waits_for_whom(latencies_with_rows_solution)

# %% [markdown]
# **Exercise 3.** A *stop text* ends an answer, and is not part of it. While streaming, it may come
# in two pieces, `"the E"` and `"nd."`, and what was sent cannot be taken back. Write a generator:
# it takes the pieces and the stop text, and yields pieces of text as early as is safe. After the
# last piece whatever was held back is given out.


# %% tags=["exercise"]
def until_stop(pieces, stop): ...  # your turn


# %% tags=["check"]
@check(until_stop)
def sends_no_part_of_it(answer):
    """Whole, in two pieces, a false start, none at all."""
    for pieces, wanted in (
        (["the ", "End", " of"], "the "),
        (["the E", "nd."], "the "),
        (["E", "E", "n", "d"], "E"),
        (["the E", "nemy"], "the Enemy"),
        (["a", "b", "En"], "abEn"),
    ):
        found = list(answer(iter(pieces), "End"))
        assert "".join(found) == wanted, f"{pieces} gives {''.join(found)!r}, not {wanted!r}"
    early = answer(iter(["hello ", "world"]), "End")
    first = ""
    while not first:
        first = next(early)
    assert first == "hello ", "what cannot begin the stop text is sent at once"


# %% tags=["solution", "hide-input"]
def until_stop_solution(pieces, stop):
    held = ""
    for piece in pieces:
        held += piece
        if stop in held:
            yield held[: held.index(stop)]
            return
        sizes = range(min(len(stop) - 1, len(held)), 0, -1)
        keep = next((size for size in sizes if stop.startswith(held[-size:])), 0)
        yield held[: len(held) - keep]
        held = held[len(held) - keep :]
    yield held


sends_no_part_of_it(until_stop_solution)

# %% [markdown]
# ## What to take along
#
# - A server is a queue, an engine that takes one step for all rows, and a stream back to each
#   caller.
# - Batching shares the reading of the weights. Positions, masks and caches are each row's own, and
#   that is where servers go wrong: ask many at once, and judge every token by a model that knows of
#   no batch.
# - Time to first token, time per token and throughput pull in different directions; load changes
#   them all, slowly and then at once.
# - Latency counts from when a request was due.
#
# Sources: G.-I. Yu et al., "Orca: a distributed serving system for transformer-based generative
# models" (2022), on batching by steps; L. Kleinrock, "Queueing systems", volume 1 (1975).
