"""Everything that is made from a run's records.

render       page, tables, JUnit XML, summary: all of it, written next to the records
junit        JUnit XML, for CI systems
summary      a short Markdown summary, for a CI job's page or a pull request
listing      one table, for the terminal or for other programs
benchmark_action  speeds, as github-action-benchmark reads them
annotations  what a CI shows beside the user's source
publish      tables and figures small enough to be committed
"""
