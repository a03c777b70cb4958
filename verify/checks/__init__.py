"""What is asked of a candidate.

stages       every stage of one case: alone, running free, and the graph that ships
logits       what the logits mean: divergence, first choices, perplexity
declared     stages that are finite in float64 are so in their own dtypes
whole        parameters, two float64 models, coverage
precision    the precision that a candidate really has
text         greedy continuations and perplexity on held-out text
invariances  causality, batches, lengths, repeats: what needs no oracle
blame        whose a failing check is: MAX's compiler, or the port's
engine       KV-cached engines against the same oracle
"""
