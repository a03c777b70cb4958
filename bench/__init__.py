"""How fast is it? Forward passes and token throughput, MAX and PyTorch taking turns.

The parent process imports neither max nor torch: each arm lives in a worker process of its own.
Rooms, from the lowest floor to the highest; each imports only rooms named before it:

    workload/  what is timed, and the work that it needs
    arms/      who runs it: one file for each arm, imported in that arm's own process
    peers      the environment that other runtimes are installed in
    judge/     what a number is worth: statistics, verdicts, agreement of outputs
    worker/    both ends of a worker process: the parent's (process), and what runs inside
    plan/      from a command line to what is measured
    match/     the competition, the parent's side: turns, contestants, ceilings
    results/   from samples to records
    asking/    the process that asks a server
    serving/   servers under load
    screen/    what the terminal shows
    fleet/     benchmarks as units of work, here or on many machines
    commands/  one file for each word of `python -m bench`; `cli` is the table of them
"""
