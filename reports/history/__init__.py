"""Several runs next to each other.

entries  all runs of a folder, and which of their figures can be compared
trends   lines, maps of places, and steps
index    the page over all runs
verify_answer  two verifications, in a sentence
verify_pair    two verifications, as maps and tables
bench_pair     two benchmarks, as ratios with intervals
unlike   what two runs were not alike in
compare  the page of two runs
"""
