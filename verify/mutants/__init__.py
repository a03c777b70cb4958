"""The candidate's own graph with one operation changed, judged as a candidate is.

GPT-2 has a catalogue of bugs that were really shipped (`verify.faults`); any graph has mutants, so
that no verdict is without a proof of its power.

reach        which taps an operation reaches: where a change of it must be blamed
change         what a mutant is, and how one is written
meanings     what mutants compute that MAX has no operation for
grouping     which axes a reshape splits and merges
generate     every mutant of a graph, and the kinds of them
forced       a candidate's forced graph under the reference's names
attempt        what a mutant computes on one case
judging      what the rule makes of it there, and whether it differs by more than rounding
sample       which mutants a run looks at
mutation_score  which were caught, which change nothing, and which were missed
repair       which would make a wrong stage right

Operators, which make changes of an operation:

operands     left out, exchanged, or another value
functions    another operator, activation, reduction, norm
literals     other numbers and tables
masks        other bands, fills and conditions
arrangement  axes, parts and places in another order
held         other weights
fewer_bits   casts to narrower dtypes, and back
"""
