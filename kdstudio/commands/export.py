"""`kdstudio export RUN --format F --out PATH`: writes the student for others, and checks it."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("export", help="write a finished student for others, and check it")
    parser.add_argument("run", help="run folder, for example projects/digits/runs/soft-targets/001")
    parser.add_argument(
        "--format",
        default="onnx",
        help="onnx (the default), onnx-int8, torch-export, safetensors, or transformers for students of texts",
    )
    parser.add_argument(
        "--out",
        help="the new folder (default: exports/FORMAT in the run folder, with --student exports/student-NAME/FORMAT)",
    )
    parser.add_argument("--student", metavar="NAME", help="a derived student of the run, as kdstudio bias writes them")
    parser.add_argument("--force", action="store_true", help="replace an earlier export")
    parser.add_argument("--check", metavar="FOLDER", help="check an exported folder again instead of writing one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    from kdstudio.engine.data import load_data
    from kdstudio.engine.export import check_or_raise, export_student, require_format
    from kdstudio.engine.student_io import load_student, require_same_data, student_folder

    source = student_folder(folder, args.student)
    root = folder.project_root
    trusted = Project.open(root).trusted if (root / "project.yaml").exists() else False
    require_format(args.format)
    bundle = load_data(folder.experiment().data, root)
    with _ended_politely():
        if args.check:
            place = Path(args.check).expanduser()
            student = load_student(source, trusted)
            require_same_data(student, bundle)
            parity = check_or_raise(place, student, bundle.test, trusted)
            answer: dict[str, Any] = {"folder": str(place), "parity": parity}
        else:
            out = Path(args.out).expanduser() if args.out else folder.exports_dir(args.student) / args.format
            result = export_student(source, args.format, out, bundle, force=args.force, trusted=trusted)
            answer, parity = result.as_dict(), result.parity
    if args.json:
        print(json.dumps(answer))
    else:
        print(f"{'checked' if args.check else 'exported'}: {answer['folder']}")
        if parity["tolerance"] is None:  # quantised: it differs by design
            allowed = f"the student: {parity['expected_accuracy']:.2%}; the same answer on {parity['agreement']:.2%}"
        else:
            allowed = f"allowed {parity['tolerance']:.2g}"
        print(
            f"in a fresh process on {parity['samples']} test samples: accuracy {parity['accuracy']:.2%}, "
            f"largest difference {parity['max_difference']:.2g} ({allowed})"
        )
    return 0


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """SIGTERM ends the export as Ctrl-C does: the checking process and the half-written folder go."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
