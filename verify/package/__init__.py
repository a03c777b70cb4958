"""Architecture packages, as MAX Serve takes them (`python -m verify package`).

names      names that the commands share
installed  does a package fit the MAX that is installed?
opening    a package on a checkpoint, with MAX's engine replaced: nothing is compiled
reading    does it read every tensor, and every field of the configuration?
computing  is its graph the same mathematics, also as it is served, and does MAX compute it?
answers    the six answers, in their order
command    `python -m verify package`
zoo        `python -m verify zoo`: every architecture that is built into MAX
atlas      its page
"""
