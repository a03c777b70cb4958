"""What would have been noticed.

base       what a fault is
planted    the oracle with one fault in it
sighting   what the rule makes of a planted fault
catalogue  the faults, each with the bug that it stands for
configured which faults a configuration has, and what is right under it
cache      the oracle with a KV cache, and bugs of caches
in_max     faults as real MAX graphs
matched    filters for faults below half a unit in the last place
controls   results that must fail, results that must pass
power      what a run could have noticed
"""
