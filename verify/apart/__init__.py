"""Processes apart, which the harness asks and which end with it.

wire      messages, as data that is never run
fence     what such a process can change, and whom it reaches
process   starts one, hears it, and ends it with all that it has started
executor  the process in which MAX compiles and runs a candidate's graphs
"""
