"""Where in a candidate's graph a stage departs from the reference.

segment     the operations that compute one place, and their values
quantities  what the reference computes on the way to a place, step by step
matching    which operation computes which quantity
sequences   whole numbers: where positions first differ
overflow    the operation that makes a NaN or an infinity
lost_bits   rounding to fewer bits, where that is what is wrong
differences what is different about the first operation that departs
listing     the operations as lines, and the first that departs
"""
