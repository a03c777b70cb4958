"""What a run leaves in its folder.

home         where this code lies, and where runs go
upgrade      records of older formats in today's shape
known_runs   runs whose folders a user has chosen, so that they are found
manifest     the hashes of what a run wrote
records      JSON lines, appended while a run goes on (reports/SCHEMA.md documents them)
machine      CPU and accelerator by their real names
environment  versions, machine and code that a run ran on
artefacts    the arrays that a verification saved next to its records
files        names of what is made from records; a file is written whole or not at all
answer       what --json promises to a program that calls this one
versions     what --version says
"""
