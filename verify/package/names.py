"""Names that the commands about packages share; neither MAX nor torch is imported here."""

V3 = "_ModuleV3"
"""Ends the name of an architecture of `max.experimental.nn`."""

ANSWERS = ("preflight", "weights", "configuration", "mathematics", "power", "compiled")
"""The six answers about a package, in their order."""
