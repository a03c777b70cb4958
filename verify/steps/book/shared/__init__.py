"""What the book's chapters share.

exercises      an exercise's check, which the reader's attempt may fail without an error
pictures       one style for all figures, in colours that the colour-blind can tell apart
solution_code  the code of a step's solution, read from its lesson
"""
