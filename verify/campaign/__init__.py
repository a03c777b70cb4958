"""`python -m verify campaign`: many random cases, to see whether the rule ever errs.

tally        what a seed draws, and what is counted
seeds        one seed judged: a unit of work (`verify.fleet`)
tally_table  what was counted, in the terminal
"""
