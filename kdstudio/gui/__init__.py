"""The window. Imports Qt and never torch: the engine works in a process of its own, and the run folder lies between."""
