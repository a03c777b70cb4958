"""A GPT-2 in MAX: configuration, model, weights, tokenizer and text generation.

This package never imports torch. Modules are imported one by one (`impl.model`, `impl.config`), so
that reading a configuration does not start MAX.
"""
