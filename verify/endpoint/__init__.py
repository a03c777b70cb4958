"""A running server with OpenAI's completions: does it answer as the model would?

client        a server asked over HTTP, each piece of its answers with its time
servers       a server that the harness starts itself, waits for and stops
keeper        the process that ends it, also where the harness is gone
vocabulary    texts of tokens
standard      what the model answers in float64, and how far a right server may stray
answering     one answer judged: tokens, log-probabilities, length, end, text
chi_square    is a sample drawn from the model's distribution?
simulated     what a server would answer, computed here: right, or with one fault planted
abilities     what a server takes and says, found out by asking
questions     what is asked, and what must hold between answers
asking        questions put to a server, and what came of them
noticed       which planted faults the questions notice
misuse        bad questions and bad clients: it says why, stays up, and stays right
written       records, what `--json` writes, and the verdict in a line
shown         the tables in the terminal
inspection    one run against a server
command_line  `python -m verify endpoint`
"""
