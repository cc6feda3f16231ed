"""The verbs of the command line, one a file: each has `add_parser(subparsers)` and `run(args) -> int`."""
