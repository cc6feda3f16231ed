"""The command line: parses, calls, prints. Every verb lives in `kdstudio.commands`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from kdstudio import __version__
from kdstudio.project.errors import KDStudioError

#: Verb -> module in `kdstudio.commands`; several verbs may share one.
VERBS = {
    "new": "new",
    "run": "run",
    "hold": "control",
    "continue": "control",
    "park": "control",
    "stop": "control",
    "stop-now": "control",
    "trust": "trust",
    "mark": "mark",
    "queue": "queue",
    "sweep": "sweep",
    "evaluate": "evaluate",
    "export": "export",
    "bias": "bias",
    "compare": "compare",
    "diff": "diff",
    "advise": "advise",
    "balance": "balance",
    "pool": "pool",
    "write": "generate",
    "draft": "draft",
    "inspect": "inspect",
    "cache": "cache",
    "bench": "bench",
    "doctor": "doctor",
}

#: Qt ends the whole process where it finds none of these.
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")

EPILOG = """\
kdstudio [PROJECT] opens the window.
Exit codes: 0 done, 2 the input is wrong, 1 it failed, 130 interrupted (and resumable)."""


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser; only the module of `verb` is imported, so `--help` and the window stay quick."""
    parser = argparse.ArgumentParser(
        prog="kdstudio",
        description="A desktop workbench for knowledge distillation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kdstudio {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    names = [verb] if verb in VERBS else list(VERBS)
    for module in dict.fromkeys(VERBS[name] for name in names):
        importlib.import_module(f"kdstudio.commands.{module}").add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    verb = next((word for word in words if not word.startswith("-")), None)
    try:
        if verb in VERBS:
            args = build_parser(verb).parse_args(words)
            module = importlib.import_module(f"kdstudio.commands.{VERBS[args.verb]}")
            return int(module.run(args))
        if verb is None and words:  # --help, --version or a wrong option
            build_parser().parse_args(words)
        return open_window(Path(verb) if verb else None)
    except KDStudioError as error:
        print(f"kdstudio: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kdstudio: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:
        return int(end.code or 0) if not isinstance(end.code, str) else 2
    except Exception as error:
        if os.environ.get("KDSTUDIO_DEBUG"):
            raise
        first = (str(error).splitlines() or [""])[0]
        print(
            f"kdstudio: something unexpected went wrong: {type(error).__name__}: {first}\n"
            "Why: this is a mistake in KD Studio\n"
            "What to do: set KDSTUDIO_DEBUG=1 and run it again to see where, and report it",
            file=sys.stderr,
        )
        return 1


def open_window(project: Path | None) -> int:
    """Opens the window, with a project or without."""
    if project is not None and not project.exists():
        from kdstudio.project.errors import InputError
        from kdstudio.project.spec import suggestion

        near = suggestion(project.name, VERBS)
        raise InputError(
            f"there is no project '{project}', and no verb of that name either",
            fix=near or "kdstudio --help lists the verbs; kdstudio new PATH makes a project",
        )
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in SCREENS):
        raise KDStudioError(
            "the window cannot start",
            why="there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set",
            fix="kdstudio run works without a window; xvfb-run -a kdstudio ... makes a screen in memory",
            kind="qt",
        )
    try:
        from kdstudio.gui.app import run_app
    except ImportError as error:
        raise KDStudioError(
            "the window cannot start",
            why=f"Qt did not load: {error}",
            fix="kdstudio doctor says which system packages are missing; kdstudio run works without a window",
            kind="qt",
        ) from None
    return run_app(project)


def window() -> int:
    """Entry point without a console."""
    return main()
