"""Ranks: the processes that share the work of one run, one a device. Rank 0 alone writes the run folder."""
