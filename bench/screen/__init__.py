"""What the terminal shows: `live` while a run goes on, and its tables at the end.

tables       of a benchmark, the answer and the `matrix` first
matrix       the arms beside MAX
load_tables  of servers under load
unit_tables  of what is made of units: sweeps, tables of machines
live         while it goes on
"""
