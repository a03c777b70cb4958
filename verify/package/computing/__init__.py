"""Whether a package computes what transformers does.

traced    its graph as the rest of the harness sees a traced model
paired    its modules, paired with those of transformers by the values of their weights
served    whether it is the same mathematics as it is served
serving_faults  mistakes of serving, planted in its graph
compiled  whether MAX computes what the graph means
"""
