"""Benchmarks of the engine, one a file: each has `TITLE` and `measure(quick) -> BenchResult`."""
