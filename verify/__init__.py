"""Is it the same model?

Rooms, from the lowest floor to the highest; each imports only rooms named before it:

    judge/      what passes, and what is recorded of a comparison
    truth/      what a case is compared with: inputs, float64, legitimate orders, envelopes
    graph/      the candidate's own graph, evaluated in NumPy without a compile
    candidate/  the model under test: found, guarded, fenced, traced
    apart/      processes apart, and what they are asked
    pairing/    whose name stands for what
    faults/     what would have been noticed
    locate/     where in a candidate's graph a stage departs from the reference
    explain/    what the failing stages of a run compute instead
    mutants/    the candidate's graph with one operation changed: what would have been noticed of it
    checks/     what is asked of a candidate
    options     the words of the command line, and options that several share
    fleet/      units of work, in this process or on many machines
    campaign/   many random cases (`python -m verify campaign`)
    rules/      this project's rule next to published ones (`python -m verify rules`)
    steps/      the steps of building a GPT-2, each checked alone
    outcome     what a run found: checks, verdict, first divergence
    screen/     what the terminal shows: the verdict, a map of the model, what is not PASS
    mathematics  whether the traced graph is the same mathematics
    run         one run: the mathematics, then what MAX compiles of it
    decoder     the same with any decoder of transformers as the reference
    job         one run written down: records, tables, page
    training/   the checkpoints of a fine-tuning, by one compiled program
    package/    architecture packages of MAX Serve, in six answers
    endpoint/   a running server with OpenAI's completions
    replay/     a run judged again: does its verdict still hold?
    live/       `--watch`: judged again whenever a file is saved
    learn/      the steps in a folder of one's own, checked at each save
    reduce/     the smallest graph that MAX computes wrongly, and a file that shows it
    max_bugs/   the smallest reproductions of what MAX gets wrong
    api/        the installed package `max_parity`: the command, `check`, the pytest plugin

At the top, besides: what a user calls (`cli` verifies, `places`, `diff`, `reducing`), and
`artefacts`, the arrays for the page.
"""
