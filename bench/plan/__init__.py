"""From a command line (`options`, `from_options`) to what is measured (`plan`).

`forecast` tells what a run will spend its time on; `sweep_options` are those of what is made of
many runs.
"""
