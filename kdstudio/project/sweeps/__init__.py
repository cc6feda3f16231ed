"""Sweeps: one experiment with many values of a few fields. A sweep is a folder of the project, its trials are runs."""
