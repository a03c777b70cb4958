"""The model under test.

sandbox      the child process that a candidate's code runs in, with limits
guard        runs a user's code, and turns what goes wrong into one sentence
factory      finds what a user names
staging      a MAX model seen from inside: plain, tapped and forced graphs
observation  what it computes on one case; each graph runs once
"""
