"""The smallest graph that MAX computes wrongly, and a file that shows it.

known         what is known of a graph's values without an input
language      how each kind of operation is written, in `max.graph` and in NumPy
words         what a phrase may ask for
source        a graph as text
specimen      a graph with one output, and the arrays that it is run on
edits         what makes a specimen smaller
sizes         plain numbers, and fewer of them
deviation     how far a compiled result is from what its graph means
child         the process that compiles
trials        many specimens compiled in one program, each judged
search        from a suspect to the smallest specimen
suspect       where a compiled candidate is wrong
arrays        the arrays of a specimen as lines of a file
reproduction  the file of MAX and NumPy that shows it
"""
