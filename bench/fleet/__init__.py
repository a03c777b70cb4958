"""Benchmarks as units of work, done on this machine or on the nodes of a fleet.

A unit is a whole run of `python -m bench` on one node: its arms take turns there and nowhere else.

whole_run     a run in a process of its own, handed back as text
hardware      what tells one machine from another: CPU, instructions, caches, memory
sweep_plan    models x dtypes x sizes x threads, cut into units
sweep_unit    one of them, measured where this process is
machine_unit  what a machine can do at most, and a short run of fixed workloads
places        the machines that there are: this one, or a cluster's nodes
carried_out   units measured, kept, shown; continued after a stop
unit_run      the folder of a unit's run, and what a table tells of it
"""
