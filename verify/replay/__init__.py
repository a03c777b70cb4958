"""`python -m verify replay RUN`: does a verdict of before still hold?

drift     what is another one now than when the run was made: files, code, versions, machine
sameness  whether two runs found the same
again     the command: says what has changed, and judges again
"""
