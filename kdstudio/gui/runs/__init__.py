"""The Runs page: all runs of a project."""
