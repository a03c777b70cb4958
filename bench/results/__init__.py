"""From samples to records.

whole         all results of a run, in order
rows          a row for each arm and workload
effects       ratios to the baseline, with intervals and verdicts
pairs         ratios to MAX, of the same quads
replays       what `bench null` found
kept_luck     what processes differ by on this machine, from one run to the next
unverified    why the MAX models of a run will show no speed
rebuilt       what was seen of the arms, from records alone
roofline      the least time that the ceilings allow
fit           what a pass costs, fitted over a sweep
surroundings  the environment of a run; `gpus` adds the accelerators
as_json       `--json`
"""
