"""The twelve steps of building a GPT-2, each checked alone."""
