"""How fast is it? Forward passes and token throughput, MAX and PyTorch taking turns.

The parent process imports neither max nor torch: each arm lives in a worker process of its own.
"""
