"""What is timed (`workloads`), and the arithmetic and memory traffic that it needs (`work`)."""
