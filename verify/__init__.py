"""Is it the same model?

Rooms, from the lowest floor to the highest; each imports only rooms named before it:

    judge/      what passes, and what is recorded of a comparison
    truth/      what a case is compared with: inputs, float64, legitimate orders, envelopes
    graph/      the candidate's own graph, evaluated in NumPy without a compile
    candidate/  the model under test: found, guarded, fenced, traced
    pairing/    whose name stands for what
    faults/     what would have been noticed, and what a failing stage computes instead
    checks/     what is asked of a candidate
    options     the words of the command line, and options that several share
    display     the tables in the terminal
    rules/      this project's rule beside published ones (`python -m verify rules`)
    steps/      the twelve steps of building a GPT-2, each checked alone
    max_bugs/   the smallest reproductions of what MAX gets wrong

At the top: what a user calls (`cli` verifies, `decoder` does for other architectures, `mathematics`
without a compile, `watch` whenever a file is saved, `diff`, `campaign` with its `tally`), one run
(`job` writes it, `run` is the loop, `outcome` what it found, `artefacts` the arrays for the page).
"""
