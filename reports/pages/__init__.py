"""One self-contained HTML page for each run.

rendering    templates filled: what every page has
headline     what a run says in a few lines
verify_page  the page of a verification
load_page    the page of servers under load
bench_page   the page of a benchmark
sweep_page     the page of a sweep over models, dtypes, sizes, threads and machines
machines_page  the page of a table of machines
endpoint_page  the page of a running server that was asked
learner_page   what a learner keeps of a GPT-2 of his own
training_page  the page of a fine-tuning whose checkpoints were verified
spread_page  the page of a campaign, or of a contest of rules
templates/   HTML, SVG; parts/ of several pages, style and script; panels/ of tabs
"""
