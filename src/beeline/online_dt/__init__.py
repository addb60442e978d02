"""The online decision transformer, in the place of Algorithm 1."""

from beeline.online_dt._online_dt import OnlineDT

__all__ = ["OnlineDT"]
