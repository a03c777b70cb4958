"""`python -m impl demo`: the model looked at from all sides, in a minute.

tour            what is shown, in its order, and whether it is right
inside_model    logits and attention of every block, from one compiled program
heat_text       a matrix as characters: colours in a terminal, shades elsewhere
findings        what was found, for the terminal and the page
demo_page       the same as a page
"""
