"""Records as tables, figures as text.

numbers   how every figure is read and written
kinds     the kinds of check, and what was seen in a sentence
frames    records as pandas frames
markdown  frames as Markdown
tidy      every kind of record as one table, as CSV and Parquet
"""
