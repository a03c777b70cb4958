"""Work in units that do not depend on each other: in this process, or spread over machines by Ray.

A command cuts its work into units, each with a key. The process that was started (the driver) hands
them out and is the only one that writes: what a unit found is one line of the records, so that a
unit is there as a whole or not at all. A run that was stopped is taken up where it ended, and a
unit whose machine was lost is done again on another.

unit           a unit of work, what came of it, and how it is done
node_check     what a machine works with; what differs between two; how busy one is
fleet_bar      how far it has come: nodes, units a minute, time left
ray_host       what is sent to a node before it is known what the node has
ray_worker     the process on a node that does one unit after the other
ray_cluster    units on a Ray cluster: nodes checked, work handed out, lost work done again
units_run      `run_units`: the same units here or on a cluster
units_kept     `KeptUnits`: the records of a run made of units, written once and taken up again
fleet_options  `--on`, and what else such commands share
"""
