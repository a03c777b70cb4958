"""Both ends of a worker process, `python -m bench.worker ARM`.

The parent's end is `process`. Inside the worker: `__main__` starts, `roles` names what it can be,
`server` runs an arm's workloads, `referee` judges outputs by PyTorch's (`allowance` knows how far
coarse ones may be off, `rounding` is coarse dtypes without their arithmetic), `ceilings`, `peak`
and `units` measure the machine, `counters` reads what the kernel counts around each block. Nothing
heavy is imported before the CPUs are chosen.
"""
