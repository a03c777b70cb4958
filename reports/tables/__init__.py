"""Records as tables, figures as text.

numbers   how every figure is read and written
verdicts  which verdict is graver, and which check the worst
classes   float32, bfloat16 or 8 bits, and what is as exact
paired    who was compared with MAX, and what each ratio says
rivals    by whom MAX is measured in each workload
speed_sentence  the first line of a benchmark
frames    records as pandas frames, and the table by layer
changes   what became of each place between two verifications
kinds     the kinds of check: figures, and what was seen in a sentence
draws     how many processes of each arm a benchmark had, and how many more it needs
spread_work  units of work, nodes and seeds of a campaign or a contest of rules, as rows
spread_markdown  the same as Markdown
load_markdown  servers under load as Markdown
markdown  frames as Markdown
units     benchmarks that are made of units: a matrix of answers for each machine
training_markdown  checkpoints of a verified fine-tuning, as rows and as Markdown
unit_markdown  both as Markdown
machine_rows  what a table of machines says of each
tidy      every kind of record as one table, as CSV and Parquet
"""
