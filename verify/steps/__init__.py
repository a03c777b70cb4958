"""The twelve steps of building a GPT-2, each checked alone.

course     the twelve steps, in order
skeletons  what `--scaffold` writes
plain      each step's mathematics in NumPy
phases     the five phases of checking one step
component  a learner's component, compiled and compared
single     the command `python -m verify step`
progress   the command `python -m verify steps`
"""
