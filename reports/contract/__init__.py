"""The form of what a run writes, for programs: records and `--json`, as JSON Schema.

parts      what several records have in common
verifying  records of a verification
measuring  records of a benchmark
asking     records of an endpoint's run, and its `--json`
spreading  records of runs made of units of work: a campaign, a contest of rules
loading    records and JSON of servers under load
comparing  `--json` of two runs compared
tuning     a fine-tuning's `training.json`, and records and JSON of its verification
sweeping   records and JSON of benchmarks that are made of units
outcomes   what `--json` writes, by command
schemas    the schemas, made from these types (`python -m reports schema`)

Each type is the source of the schema of its name in `reports/schema/`, and of what tests compare
real records with. `reports/SCHEMA.md` says what the keys mean.
"""
