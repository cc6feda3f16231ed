"""Sweeps in the window: what varies, the trials as they come, and the values that were best."""
