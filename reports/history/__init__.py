"""Several runs next to each other.

machines which machine a run was made on
entries  all runs of a folder, and which of their figures can be compared
trends   lines, maps of places, and steps
index    the page over all runs
compare  two runs
"""
