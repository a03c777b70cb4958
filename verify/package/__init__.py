"""Architecture packages, as MAX Serve takes them (`python -m verify package`).

names      names that the commands share
engine     MAX's engine, replaced by the meaning of the graphs that it is given
stages     the modules of a package, seen while MAX traces them
one_cpu    packages that are written for accelerators, on one CPU
opened     a package on a checkpoint: the one file that touches most of `max.pipelines`
once       custom operations are checked against MAX's kernels once
driven     requests that are prefilled, chunked and decoded by an opened package

found      the package that a user names: a folder, or a built-in of MAX
installed  a package's code beside the installed MAX: what has moved
failing    what a package raises, as one sentence with its place
preflight  whether MAX can serve it at all, part by part

holders    which operations of a graph compute with a number
subject    a package as checks ask it: its logits, and what it raises
drawn      tiny checkpoints with nothing at its usual value
numbered   checkpoints whose elements are numbers of their own
arrivals   from which tensors a parameter was filled
checkpoint  whether every tensor is read, and every parameter filled

fields     what a field of a configuration could say instead
altered    one configuration after another, in transformers and in a package
configuration  which fields a package follows

traced     a package's graph as the rest of the harness sees a traced model
paired     its modules, paired with those of transformers
served     whether it is the same mathematics as it is served
faults     faults of serving, planted in its graph
compiled   whether MAX computes what its graph means

answers    the six answers, in their order
command    `python -m verify package`
zoo        `python -m verify zoo`: every architecture that is built into MAX
atlas      its page
"""
