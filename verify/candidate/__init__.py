"""The model under test.

descendants  what a process starts, and its end
sandbox      the child process that a candidate's code runs in, with limits
guard        runs a user's code, and turns what goes wrong into one sentence
factory      finds what a user names
own_files    which files a candidate is made of, their hashes, and which have changed
randomness   refuses a graph that draws random numbers
renamed      MAX's modules by the names that they had
calls        the modules of a model, and what passes when one is called
signature    whether it can be called with token ids alone
result       what is taken of what it returns
graph_api    models of max.nn, and plain callables over max.graph.ops
staging      a MAX model seen from inside: plain, tapped and forced graphs
model_graphs  its graphs alone, to be evaluated in NumPy or compiled
program      a program of MAX compiled, with weights
narrowing    values of fewer bits than declared, rounded where all else is float64
neighbours   constants that float32 rounded, moved by a unit in their last place
allowance    what such constants add to what is allowed in float64
observation  what it computes on one case; each graph runs once
"""
