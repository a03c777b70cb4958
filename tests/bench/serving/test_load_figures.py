"""From times of arrival to figures: latencies, rates, rows, ratios."""

import pytest

from bench.serving.latency import errors_of, gaps_of, latencies, times_of, within
from bench.serving.load_effects import knees, load_effects
from bench.serving.load_plan import LoadPlan, rates_of
from bench.serving.load_rows import bottleneck, load_rows
from bench.serving.windows import level_record

MS = 1_000_000


def request(**changes):
    """Scheduled at 0, sent at 5 ms; four tokens at 20, 30, 45 and 50 ms."""
    one = {
        "record": "request", "arm": "max", "generation": 0, "loop": "closed", "load": 4.0,
        "round": 0, "number": 0, "prompt": 0, "counts": True, "scheduled_ns": 0, "sent_ns": 5 * MS,
        "ended_ns": 51 * MS, "arrived_ns": [20 * MS, 30 * MS, 45 * MS, 50 * MS], "tokens": 4,
        "pieces": [1, 1, 1, 1], "status": 200, "error": "", "right": True, "wrong": "",
        "text": None, "ids": None,
    }  # fmt: skip
    return {**one, **changes}


def seen(**changes):
    one = {
        "record": "level", "model": "tiny", "workload": "8+4", "arm": "max", "device": "cpu",
        "dtype": "float32", "threads": 1, "generation": 0, "loop": "closed", "load": 4.0,
        "round": 0, "begin_ns": 0, "seconds": 2.0, "offered_s": 10.0, "requests_s": 10.0,
        "tok_s": 40.0, "tokens_per_piece": 1.0, "in_flight": 4, "client_late_ms_p50": 0.1,
        "client_late_ms_p99": 0.5, "client_late_ms_max": 1.0, "client_late_n": 100,
        "client_cpu_share": 0.1,
    }  # fmt: skip
    return {**one, **changes}


def plan(**changes):
    values = {
        "arms": ["max", "other"], "model": "tiny", "concurrency": [4], "rates": [], "seconds": 2.0,
        "processes": 3, "threads": 1, "server_cpus": [0], "client_cpus": [1], "n_prompt": (8, 8),
        "n_new": 4, "prompts": 9, "margin": 0.01,
    }  # fmt: skip
    return LoadPlan(**{**values, **changes})


def test_latencies_count_from_the_scheduled_time():
    assert times_of(request()) == {"ttft": 20.0, "tpot": 10.0, "e2e": 51.0}
    assert gaps_of(request()) == [10.0, 15.0, 5.0]


def test_one_token_has_no_time_of_a_token_after_it():
    one = request(tokens=1, arrived_ns=[20 * MS])
    assert times_of(one)["tpot"] is None
    assert gaps_of(one) == []


def test_what_failed_has_no_latency():
    assert set(times_of(request(error="gone")).values()) == {None}


@pytest.mark.parametrize(("count", "known"), [(5, ()), (6, (50,)), (28, (50,)), (29, (50, 90)),
                                              (298, (50, 90)), (299, (50, 90, 99))])  # fmt: skip
def test_a_percentile_is_shown_only_with_enough_samples(count, known):
    found = latencies([request()] * count)
    assert tuple(p for p in (50, 90, 99) if found[f"ttft_ms_p{p}"] is not None) == known
    assert found["ttft_ms_n"] == count
    assert found["ttft_ms_mean"] == 20.0


def test_goodput_takes_an_answer_that_is_right_and_keeps_both_limits():
    assert within(request(), None, None)
    assert within(request(), 20.0, 10.0)
    assert not within(request(), 19.0, None)
    assert not within(request(), None, 9.0)
    assert not within(request(right=False), None, None)
    assert not within(request(error="gone"), None, None)


def test_errors_are_counted_by_kind():
    failed = [request(error="too busy", status=503)] * 2 + [
        request(error="ServerDisconnectedError: Server disconnected", status=0),
        request(error="the stream broke off"), request(),
    ]  # fmt: skip
    assert errors_of(failed) == {
        "HTTP 503": 2, "ServerDisconnectedError": 1, "the stream broke off": 1,
    }  # fmt: skip


def test_tokens_count_when_they_arrive_and_requests_when_they_end():
    client = {"window_begin_ns": 25 * MS, "window_end_ns": 125 * MS, "in_flight": 1,
              "late_ms_p50": 0, "late_ms_p99": 0, "late_ms_max": 0, "late_n": 1,
              "cpu_share": 0}  # fmt: skip
    late = request(scheduled_ns=100 * MS, ended_ns=130 * MS, arrived_ns=[120 * MS, 128 * MS],
                   tokens=2, pieces=[1, 1])  # fmt: skip
    found = level_record([request(), late], client)
    assert found["tok_s"] == pytest.approx((3 + 1) / 0.1)
    assert found["requests_s"] == pytest.approx(1 / 0.1)
    assert found["offered_s"] == pytest.approx(1 / 0.1)


def test_a_piece_with_several_tokens_counts_them():
    client = {"window_begin_ns": 0, "window_end_ns": 25 * MS, "in_flight": 1, "late_ms_p50": 0,
              "late_ms_p99": 0, "late_ms_max": 0, "late_n": 1, "cpu_share": 0}  # fmt: skip
    one = request(arrived_ns=[20 * MS, 30 * MS], pieces=[3, 1])
    assert level_record([one], client)["tok_s"] == pytest.approx(3 / 0.025)
    assert level_record([one], client)["tokens_per_piece"] == 2


def test_a_client_that_was_late_or_busy_makes_a_row_invalid():
    row = {"client_cpu_share": 0.1, "client_late_ms_p50": 0.1, "client_late_ms_p99": 0.5,
           "ttft_ms_p50": 20.0, "ttft_ms_p99": None}  # fmt: skip
    assert list(bottleneck(row)) == []
    assert "computed for 90%" in next(iter(bottleneck({**row, "client_cpu_share": 0.9})))
    (late,) = bottleneck({**row, "client_late_ms_p50": 2.1})
    assert late.endswith("late by 2.1 ms at p50, where the first token takes 20 ms")
    assert list(bottleneck({**row, "client_late_ms_p99": 3.0})) == []
    assert "at p99" in next(iter(bottleneck({**row, "client_late_ms_p99": 3.0,
                                             "ttft_ms_p99": 25.0})))  # fmt: skip


@pytest.mark.parametrize(
    ("requests", "status", "reason"),
    [
        ([request()] * 40, "VALID", None),
        ([request()] * 39 + [request(right=False, wrong="other text", prompt=7)], "INVALID",
         "1 of 40 answers are wrong; the first, to prompt 7: other text"),
        ([request()] * 199 + [request(error="busy", status=503, right=None)], "VALID", None),
        ([request()] * 38 + [request(error="busy", status=503, right=None)] * 2, "INVALID",
         "2 of 40 requests failed: 2 HTTP 503"),
        ([request(error="gone", status=0, right=None)] * 3, "ERROR",
         "3 of 3 requests failed: 3 gone"),
        ([request(right=None)] * 9, "INVALID", "no answer was checked"),
    ],
)  # fmt: skip
def test_a_row_is_valid_or_says_why_not(requests, status, reason):
    (row,) = load_rows([seen(), *requests], plan())
    assert row["status"] == status
    assert row["invalid_reasons"] == ([reason] if reason else [])


def test_what_is_served_unverified_has_no_valid_row():
    (row,) = load_rows([seen(), *[request()] * 9], plan(), {"max": "never verified"})
    assert (row["status"], row["invalid_reasons"]) == ("INVALID", ["never verified"])
    (row,) = load_rows([seen(), *[request()] * 9], plan(), {"other": "never verified"})
    assert row["status"] == "VALID"


def test_requests_of_the_warm_up_do_not_count():
    (row,) = load_rows([seen(), *[request()] * 9, request(counts=False, right=False)], plan())
    assert (row["requests"], row["status"]) == (9, "VALID")


def test_a_server_that_could_not_run_has_a_row_that_says_so():
    place = {"model": "tiny", "workload": "8+4", "device": "cpu", "dtype": "float32", "threads": 1}
    start = {"record": "start", **place, "arm": "other", "skipped": "not installed", "error": ""}
    rows = load_rows([seen(), request(), start], plan())
    assert [(r["arm"], r["status"]) for r in rows] == [("max", "VALID"), ("other", "SKIP")]


def processes(count, slower=1.5, jitter=(1.0, 1.02, 0.99, 1.01)):
    """Levels and requests of two servers, one slower than the other."""
    records = []
    for generation in range(count):
        for arm, factor in (("max", 1.0), ("other", slower)):
            time = factor * jitter[generation % 4]
            for turn in (0, 1):
                place = {"arm": arm, "generation": generation, "round": turn}
                records.append(seen(**place, tok_s=40.0 / time))
                ns = [int(at * MS * time) for at in (20, 30, 45, 50)]
                records += [request(**place, arrived_ns=ns)] * 9
    return records


def test_servers_are_compared_by_processes():
    records = processes(3)
    effects = load_effects(records, load_rows(records, plan()), plan())
    assert [e["metric"] for e in effects] == ["token", "ttft", "tpot"]
    assert [e["ratio"] for e in effects] == pytest.approx([1.5] * 3, rel=1e-6)
    assert {(e["arm"], e["versus"], e["verdict"]) for e in effects} == {("other", "max", "SLOWER")}
    assert all(e["ci_lo"] <= 1.5 + 1e-6 and e["processes"] == 3 for e in effects)


def test_there_is_no_verdict_from_one_process():
    records = processes(1, slower=9.0)
    effects = load_effects(records, load_rows(records, plan()), plan())
    assert {e["verdict"] for e in effects} == {"INCONCLUSIVE"}
    assert all("one process of each arm" in e["why"] for e in effects)
    assert all(e["ci_lo"] is None for e in effects)


def test_a_row_that_is_not_valid_is_not_compared():
    records = [*processes(3), request(arm="other", right=False, wrong="x")]
    assert load_effects(records, load_rows(records, plan()), plan()) == []


def test_a_knee_needs_open_loops_and_one_caller():
    (knee, _) = knees(processes(1), plan())
    assert knee["knee_s"] is knee["beyond"] is None
    assert (knee["most_requests_s"], knee["most_load"]) == (10.0, 4.0)


def test_rates_are_shares_of_what_closed_loops_reached_unless_they_are_named():
    assert rates_of(plan(rates=None), 100.0) == [25.0, 50.0, 70.0, 85.0, 100.0, 120.0]
    assert rates_of(plan(rates=None), None) == []
    assert rates_of(plan(rates=[3.0]), 100.0) == [3.0]


def test_servers_come_in_a_drawn_order_and_then_in_its_reverse():
    one = plan(arms=["a", "b", "c", "d"])
    assert one.order(1) == one.order(0)[::-1]
    assert sorted(one.order(2)) == ["a", "b", "c", "d"]
    up, down = (one.levels("closed", [8, 1, 4], 0, turn) for turn in (0, 1))
    assert [level.load for level in up] == [1, 4, 8]
    assert [level.load for level in down] == [8, 4, 1]
