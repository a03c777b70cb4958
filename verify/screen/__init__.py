"""What the terminal shows of a run: the verdict, a map of the model, and what is not PASS.

colours      of verdicts, and of shares of the allowed error
map_lines    the model as a map: blocks side by side, a row for each place
full_tables  every place, every kind of check, every planted fault and mutant, in tables
departures   where and why it fails: the first divergence, its graph, the rows that fail
printed      all of it, in the order of reading
"""
