"""Architecture packages, as MAX Serve takes them (`python -m verify package`).

engine     MAX's engine, replaced by the meaning of the graphs that it is given
stages     the modules of a package, seen while MAX traces them
one_cpu    packages that are written for accelerators, on one CPU
opened     a package on a checkpoint: the one file that touches `max.pipelines`
driven     requests that are prefilled, chunked and decoded by an opened package
"""
