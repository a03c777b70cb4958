"""Which parameter and module of a candidate stands for which of the reference.

counterpart  one entry of a pairing: names, parts, transposes
file         a pairing as TOML
outline      what a candidate and a reference consist of
parameters   parameters paired by path, shape, name and order
modules      modules paired by their parameters
padding      vocabularies with rows that stand for no token
translated   a candidate seen under the reference's names
table        a pairing as a table
built        a candidate built in this process
messages     what a candidate's own process is asked, and what it answers
candidate_process  that process
candidate_apart  a candidate there, as the harness sees it
prepare      a candidate, ready to be checked
shipped      its plain graph alone, for the benchmark
"""
