"""The arms: who runs the workloads. One file each, imported in the arm's own process only."""
