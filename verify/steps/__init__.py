"""The steps of building a GPT-2, each checked alone: twelve, one that serves it, one with a cache.

course     the steps, in order
lessons/   one file for each: skeleton, solution, hints, explanation
open_tasks   which of a lesson's TODOs a learner's file leaves open
plain      the checks of configuration, causal mask and generation
over_http  the check of a server
with_cache   the check of a KV cache
own_checks   these checks by the step's number
definitions  what a learner's file defines, read without running it
importable   a learner's files import each other
arguments    what a learner's class is called with, by name
taken        the class that is the step's, where its name is another
phases     the five phases of checking one step
component  a learner's component, compiled and compared
single     the command `python -m verify step`
progress   the command `python -m verify steps`
shape_words  what a wrong shape or parameter tells of a mistake
raised       what an error of Python or MAX means in a step
book/      chapters that explain each part, and run
"""
