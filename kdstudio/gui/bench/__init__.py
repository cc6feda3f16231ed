"""Benchmarks of the window, one a file: each has `TITLE` and `measure(quick) -> BenchResult`."""
