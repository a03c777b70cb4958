"""From a command line (`options`, `from_options`) to what is measured (`plan`).

`overhead` tells what a run takes besides measuring.
"""
