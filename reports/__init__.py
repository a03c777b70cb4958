"""Saved records, and the tables made from them. Imports neither max nor torch."""
