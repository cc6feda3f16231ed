"""The live panels: each reads the run folder's data through the worker, live or afterwards alike."""
