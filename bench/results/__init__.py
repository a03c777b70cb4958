"""From samples to records.

rows          a row for each arm and workload
effects       ratios to the baseline, with intervals and verdicts
rebuilt       what was seen of the arms, from records alone
roofline      the least time that the ceilings allow
fit           what a pass costs, fitted over a sweep
surroundings  the environment of a run; `gpus` adds the accelerators
as_json       `--json`
"""
