"""What the terminal shows.

tables       of a run at its end, the answer and the `matrix` first
matrix       the arms beside MAX
load_tables  of servers under load
live         what goes on meanwhile
"""
