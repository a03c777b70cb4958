"""Several runs next to each other.

same_machine  which machine a run was made on
entries  what is kept of a run, and which of its figures can be compared
kept     all runs of a folder, read once each
steps    where figures stepped, and the noise that they lie in between
lines    times of workloads, run by run, as charts
trends   groups of comparable runs: lines, maps of places, and steps
index    the page over all runs, and one of trends for each machine
verify_answer  two verifications, in a sentence
verify_pair    two verifications, as maps and tables
bench_pair     two benchmarks, as ratios with intervals
unlike   what two runs were not alike in
compare  the page of two runs
"""
