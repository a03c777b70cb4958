"""The twelve steps of building a GPT-2, each checked alone.

course     the twelve steps, in order
skeletons  what `--scaffold` writes
plain      each step's mathematics in NumPy
definitions  what a learner's file defines, read without running it
importable   a learner's files import each other
arguments    what a learner's class is called with, by name
taken        the class that is the step's, where its name is another
phases     the five phases of checking one step
component  a learner's component, compiled and compared
single     the command `python -m verify step`
progress   the command `python -m verify steps`
book/      chapters that explain each part, and run
"""
