"""Ground truth: checkpoints, Hugging Face in two precisions, and a NumPy float64 oracle."""
