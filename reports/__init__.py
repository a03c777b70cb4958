"""Saved records, and the tables and pages made from them. Imports neither max nor torch.

Rooms, from the lowest floor to the highest; each imports only rooms named before it:

    waiting    something long goes on: a bar, or a line every 30 seconds
    commands   what every command line of this repository shares
    pipe       a reader of the output that goes away
    saved/     what a run leaves in its folder, written and read
    program    a command line as a program: --version, --json, | head
    contract/  the form of records and of --json, from which JSON Schemas are made
    tables/    records as pandas frames and Markdown, figures as text
    figures/   charts and maps as data
    pages/     one HTML page for each run; templates/ draws the figures as SVG
    history/   several runs next to each other
    output/    everything that is made from one run: page, tables, JUnit XML, summaries
"""
