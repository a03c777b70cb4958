"""A package on a checkpoint, run as it is served, and nothing compiled.

module_calls      the modules of a package, seen while MAX traces them
evaluated_engine  MAX's engine, replaced by the meaning of the graphs that it is given
one_cpu           packages that are written for accelerators, on one CPU
opened            a package's model on a checkpoint
once              custom operations are checked against MAX's kernels once
driven            requests that are prefilled, chunked and decoded
subject           a package as checks ask it: its logits, and what it raises
"""
