"""What a failing stage computes instead: one explanation for all failing stages of a run.

failure           a stage that failed, and how a variant of the reference compares with it
closed_forms      numbers in words: 0.0883883 is 1/sqrt(n_embd)
families          faults with a number, which is fitted
attention_faults  what people compute in place of attention
activation_faults what people compute in place of GELU
norm_faults       what people compute in place of LayerNorm
variants          what people compute in place of any stage, by place
hidden            where a fault may lie that comes to light at a place
explanation       something that a candidate may compute instead
tried             faults and families, tried at the failing places of a run
relations         a factor, a sum of other activations, a clamp
compositions      a known function of known activations
block_sums        what a sum tells of residuals and norms
llama_formulas    what people compute in place of a stage of a Llama
rounded           rounding to 16 bits, and at which step
error_shape       the shape of an error that nothing explains
consequences      places that are wrong only because an earlier place is
diagnosis         one explanation for all failing stages
collected         the failing stages of a run, kept until they are explained
"""
