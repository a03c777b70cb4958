"""What a measured number is worth.

statistics  paired ratios, and the bootstrap over quads
verdict     FASTER, SLOWER, SAME or INCONCLUSIVE
agreement   how far an arm's outputs may be from PyTorch's
validity    whether the verified model is the one that was timed
"""
