"""`python -m verify learn`: a GPT-2 of one's own, step by step, checked whenever it is saved.

kept_state        what is remembered, in a file that people can read
learner_folder    the learner's files, never written over, and which steps are done
step_check        one check of a step, in a process that stands by
learning_session  which step a session is about, what has to be checked, what has been found
displayed         what is shown of a step
keyboard          keys, saves and ends of checks as events
terminal          the loop in a terminal
without_terminal  what the keys do, as options
own_text          the learner's model writes a text, in a process of its own
whole_model       after the twelve: verified, written with, timed, a page
learning          the command
"""
