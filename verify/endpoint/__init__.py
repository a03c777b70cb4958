"""A running server with OpenAI's completions: does it answer as the model would?

client   a server asked over HTTP, each piece of its answers with its time
servers  a server that the harness starts itself, waits for and stops
keeper   the process that ends it, also where the harness is gone
vocabulary  texts of tokens
simulated   what a server would answer, computed here: right, or with one fault planted
"""
