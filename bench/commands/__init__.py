"""One file for each word of `python -m bench`; `bench.cli` has the table."""
