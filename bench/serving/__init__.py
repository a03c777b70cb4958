"""Servers under load: `python -m bench serve`.

What is asked, and which answers are right:
    prompts       token ids, and the texts that are encoded to just these
    truth         right answers in float64, in a process of its own
    known         each answer judged: by the checkpoint, or by the same prompt alone
Who answers:
    server_arms   the servers that are started here, and what each lacks
    gguf_file     a checkpoint for llama.cpp's server
The run:
    load_plan     what is measured
    load_options  the command line, and what it comes to
    course        servers in turns, each under every load
    cross_check   the same load by `max benchmark`
What came of it:
    windows       rates in the seconds that count
    latency       TTFT, ITL, TPOT, E2E, goodput, errors
    saturation    the knee
    load_rows     a row for each server and load
    load_effects  servers beside each other, and their knees
"""
