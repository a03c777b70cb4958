"""The arms of a benchmark beside each other, apart from their ratios.

exactness      error by speed, and how large the weights are
token_latency  each new token's time: by position, and how it is distributed
starts         from nothing to the first result; copies of results to the host
"""
