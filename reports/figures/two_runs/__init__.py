"""What two runs differ by, as data.

difference_map  both runs' maps of the model, and the log2 of what lies between them
forest          a ratio with its interval for each workload and arm
"""
