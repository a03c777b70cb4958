"""A running server with OpenAI's completions: does it answer as the model would?

client           a server asked over HTTP, each piece of its answers with its time
"""
