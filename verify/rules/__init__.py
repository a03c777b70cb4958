"""`python -m verify rules`: this project's rule and published ones on the same faults.

published   the rules of others, each with its source
contest     every rule on every fault, and on correct runs
rule_units  the contest in units of work, for this process or a cluster
comparison  scores and tables
"""
