"""What a measured number is worth.

statistics  from samples to turns; medians and percentiles of independent values
parts       one pair of arms: what generations differ by, and how much of it noise explains
luck        what processes of the same code differ by, pooled over arms and earlier runs
estimate    ratios from quads within processes within a pair of arms, with intervals
simulation  how honest these are, as a table (`python -m bench.judge.simulation`)
rates       how often something was said, with an interval
verdict     FASTER, SLOWER, SAME or INCONCLUSIVE, and what would settle it
agreement   how far an arm's outputs may be from PyTorch's
validity    whether the verified model is the one that was timed
"""
