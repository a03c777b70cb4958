"""Records of MAX beside other arms: rows, pairs, and what figures of a benchmark are made of."""

DECODE = {"workload": "tg16 @ d32", "n_prompt": 0, "n_gen": 16, "n_depth": 32, "batch": 1}


def prompt(size, batch=1):
    name = f"pp{size}{f' b{batch}' if batch > 1 else ''}"
    return {"workload": name, "n_prompt": size, "n_gen": 0, "n_depth": 0, "batch": batch}


def row(arm, work=DECODE, status="VALID", reason="", **rest):
    return {
        "record": "row", "model": "tiny", "device": "cpu", "threads": 2, "dtype": "float32",
        "arm": arm, "status": status, "invalid_reasons": [reason] if reason else [],
        "median_s": 0.01, **work, **rest,
    }  # fmt: skip


def pair(arm, ratio, verdict, work=DECODE, spread=1.1, versus="max", **rest):
    """Of an arm that takes `ratio` times as long as MAX."""
    return {
        "record": "pair", "model": "tiny", "device": "cpu", "threads": 2, "arm": arm,
        "versus": versus, "workload": work["workload"], "ratio": ratio,
        "ci_lo": spread and ratio / spread, "ci_hi": spread and ratio * spread,
        "margin": 1.01, "verdict": verdict, "why": "" if spread else "one process of each arm",
        **rest,
    }  # fmt: skip


def run(work=DECODE, **ratios):
    """Rows of MAX and others with their pairs: `torch=2.0` takes twice as long, surely."""
    said = {
        arm: ("SLOWER" if value > 1 else "FASTER") if value > 1.1 or value < 0.9 else "INCONCLUSIVE"
        for arm, value in ratios.items()
    }
    rows = [row(arm, work) for arm in ("max", *ratios)]
    return [*rows, *(pair(arm, value, said[arm], work) for arm, value in ratios.items())]


VERDICTS = (
    ("SLOWER", 1.6, 1.1), ("FASTER", 0.7, 1.1), ("INCONCLUSIVE", 1.0, 1.2), ("SAME", 0.945, 1.002),
)  # fmt: skip
"""What is said of an arm, its ratio to MAX, and how far its interval reaches."""


def measured(*arms):
    """All that the figures of a page are made of, of MAX and these arms in two workloads."""
    records = []
    for work, unit in ((DECODE, 16), (prompt(128), 128)):
        for number, arm in enumerate(("max", *arms)):
            place = {"model": "tiny", "device": "cpu", "threads": 2, "arm": arm}
            place["workload"] = work["workload"]
            median = 0.01 * (1 + number / 7)
            records.append(
                row(
                    arm, work, median_s=median, tok_s=unit / median, host_copy_s=1e-4,
                    error_logits=number * 1e-6, weight_bytes=(number + 1) << 22,
                )
            )  # fmt: skip
            steps = [int(1e6 * (1 + number + step % 3)) for step in range(16)]
            tokens = {"steps_ns": steps} if work is DECODE else {}
            records += [
                {"record": "sample", **place, "time_ns": int(1e9 * median), "quad": n // 2,
                 "block": n, "call": 0, "clean": True, "start_ns": 10**9 * n, **tokens}
                for n in range(4)
            ]  # fmt: skip
            seconds = {"import": 0.5, "load": 0.1, "compile": 2.0, "first_call": 0.01}
            records += [
                {"record": "phase", **place, "phase": name, "seconds": took * (1 + number),
                 "cache": "warm" if name == "compile" else None, "generation": 0,
                 "workload": work["workload"] if name == "first_call" else None}
                for name, took in seconds.items()
            ]  # fmt: skip
            if number:
                verdict, ratio, spread = VERDICTS[number % 4]
                records.append(pair(arm, ratio * (1 + number / 50), verdict, work, spread))
    return records
