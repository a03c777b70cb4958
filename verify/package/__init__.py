"""Architecture packages, as MAX Serve takes them (`python -m verify package`).

engine     MAX's engine, replaced by the meaning of the graphs that it is given
stages     the modules of a package, seen while MAX traces them
opened     a package on a checkpoint
found      the package that a user names: a folder, or a built-in of MAX
installed  a package's code next to the installed MAX: what has moved
failing    what a package raises, as one sentence with its place
preflight  whether MAX can serve it at all, part by part
driven     requests that are prefilled, chunked and decoded by an opened package
"""
