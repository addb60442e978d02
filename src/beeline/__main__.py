"""`python -m beeline` is the command `beeline`."""

from beeline.cli import script

script()
