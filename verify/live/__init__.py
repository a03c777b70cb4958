"""`--watch`: judged again whenever a file is saved.

watch     waits for a save, and shows what each look came to
one_look  one look, in a process that stood by
"""
