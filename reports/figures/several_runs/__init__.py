"""What several runs differ by, as data.

difference_map  two runs' maps of the model, and the log2 of what lies between them
over_training   of a fine-tuning: parity of its checkpoints, and losses, over the steps
forest          of two runs: a ratio with its interval for each workload and arm
swept           of a sweep: a matrix of ratios for each machine
"""
