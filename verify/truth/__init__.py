"""What a case is compared with.

cases        which inputs, and why those
probe        activations that make small faults visible (epsilon, mask values, overflow)
float32      legitimate orders of evaluation in float32; `float16` has those in 16 bits
tf32         the same where products may keep 10 bits of their factors; `bfloat16_products`, where
             linear layers keep 8
matrix_units what units that multiply bfloat16 compute, to the last bit, and their faults
float64      what the mathematics of a case is compared with
any_decoder  the same for any decoder of transformers
envelope     how far those stray from float64: in isolation and running free
redraws      more draws where one row carries an error
alarms       correct results, judged by the envelope of the others
expectation  all that the checks of one case need
references   makes an expectation from the reference and the oracle
"""
