"""Which kernels the engine takes: asked for, switched, or measured on this machine.

kernel_choice   what `auto`, `mojo`, `mojo-avx2` or `stock` means here
tiles           whether AMX may be used here
kept            what was measured, kept for this machine, model and version
contender       an engine in a process of its own, which takes turns when it is told
measure         `python -m impl choose`: the turns, and what they say
"""
