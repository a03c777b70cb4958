"""Architecture packages, as MAX Serve takes them (`python -m verify package`).

engine     MAX's engine, replaced by the meaning of the graphs that it is given
stages     the modules of a package, seen while MAX traces them
one_cpu    packages that are written for accelerators, on one CPU
opened     a package on a checkpoint: the one file that touches `max.pipelines`
once       custom operations are checked against MAX's kernels once
holders    which operations of a graph compute with a number
subject    a package as the checks ask it: its logits, and what it raises
drawn      tiny checkpoints with nothing at its usual value
numbered   checkpoints whose elements are numbers of their own
arrivals   from which tensors a parameter was filled
checkpoint   whether every tensor is read, and every parameter filled
fields     what a field of a configuration could say instead
altered    one configuration after another, in transformers and in a package
configuration   which fields a package follows
driven     requests that are prefilled, chunked and decoded by an opened package
"""
