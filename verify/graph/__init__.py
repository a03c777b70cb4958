"""The candidate's own graph: read from MAX, and evaluated in NumPy without a compile.

    with noting() as notes:  # of places in the source, and of numbers before they are rounded
        stage("plain", model, types, program)
    (graph,) = read(program, notes)
    logits = evaluate(graph, [ids], weights).outputs[0]

errors      what can keep a graph from being read or evaluated
form        a graph as plain Python and NumPy: values, operations, blocks, symbolic sizes
adapter     from MAX's staged programs to that form: the one file that touches MAX's private classes
scope       what the meaning of an operation may ask for
weights     weights, widened to float64 once for all graphs
operations  what each operation means
schedule    which operations have to run, and how long their results are needed
understood  whether a graph can be evaluated
footprint   how much memory an evaluation will take
evaluate    the evaluation: in float64, or at the precision that the graph declares
"""
