"""CPU kernels of the engine: see linear.mojo for the layout that all of them share."""

from .registry import *
