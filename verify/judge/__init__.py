"""What passes, and what is recorded of a comparison.

metrics     errors: rms, largest, units in the last place, KL divergence
finite      what is NaN or infinite, and where first
rounding    what a lower precision would have given, and how many bits are right
verdict     a check, as it is recorded
acceptance  the rule: what passes, and by how much
whole_tensor  a whole tensor as small as a picture
"""
