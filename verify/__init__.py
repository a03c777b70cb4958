"""Is it the same model? Taps, cases, the envelope, the rule, and what the command prints."""
