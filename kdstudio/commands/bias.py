"""`kdstudio bias RUN`: shifts what a student says of classes, for another mix of classes than it learned from."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from kdstudio.project.class_bias import (
    PRIORS,
    Effect,
    as_dict,
    check_name,
    effect,
    prior_shares,
    shift_by_hand,
    shift_for_prior,
)
from kdstudio.project.errors import InputError, RunBusyError
from kdstudio.project.folder import Project
from kdstudio.project.runs.folder import RunFolder

if TYPE_CHECKING:
    from kdstudio.engine.data import DataBundle
    from kdstudio.engine.student_io import Student

#: Before and after.
Effects = tuple[Effect, Effect]


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "bias",
        help="shift a student's outputs class by class, for another mix of classes",
        description="Adds a shift to the student's logits of one class or of several: by hand, or so that the mean "
        "predicted shares of the classes match a prior on the validation samples. Test samples are scored and never "
        "used to choose. Without a shift it shows what the student says now.",
    )
    parser.add_argument("run", help="run folder with a finished student")
    parser.add_argument(
        "--class", dest="classes", metavar="NAME", action="append", default=[], help="class to shift, by name or number"
    )
    parser.add_argument(
        "--by", metavar="X", type=float, action="append", default=[], help="how far, in nats (usual -5 to 5)"
    )
    parser.add_argument(
        "--prior", choices=PRIORS, help="shift all classes: to even shares, or to those among the validation labels"
    )
    parser.add_argument("--write", metavar="NAME", help="keep it as the derived student NAME in the run folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    folder = RunFolder.open(args.run)
    _check_arguments(args, folder)
    from kdstudio.engine.class_bias import save_derived
    from kdstudio.engine.data import load_data
    from kdstudio.engine.student_io import load_student, require_same_data, student_folder

    root = folder.project_root
    trusted = Project.open(root).trusted if (root / "project.yaml").exists() else False
    student = load_student(student_folder(folder, None), trusted)
    experiment = folder.experiment()
    if student.text is not None and student.text.is_language_model:
        raise InputError(
            f"{folder.name}: its student has no classes of samples to shift",
            why="it gives an output for each token",
            fix="use a run that puts whole samples into classes",
        )
    bundle = load_data(experiment.data, root)
    require_same_data(student, bundle)
    splits = ["validation", *(["test"] if experiment.evaluate.test else [])]
    logits = {name: _said(student, bundle, name) for name in splits}
    labels = {name: bundle.splits[name].labels.numpy() for name in splits}
    if args.prior:
        prior = prior_shares(args.prior, labels["validation"], len(bundle.classes))
        shift = shift_for_prior(logits["validation"], prior)
    else:
        shift = shift_by_hand(list(zip(args.classes, args.by)), bundle.classes)
    found: dict[str, Effects] = {
        name: (effect(logits[name], labels[name], np.zeros(len(shift))), effect(logits[name], labels[name], shift))
        for name in splits
    }
    chosen = f"prior {args.prior} on validation samples" if args.prior else "by hand"
    scores = {name: {"before": each[0].accuracy, "after": each[1].accuracy} for name, each in found.items()}
    about = {"chosen": chosen, "accuracy": scores}
    written = str(save_derived(folder, args.write, student, shift, about)) if args.write else None
    if args.json:
        print(json.dumps(_as_json(bundle.classes, shift, chosen, found, written)))
    else:
        print(_text(bundle.classes, shift, found, bool(args.prior)))
        if written is not None:
            print(f"written: {written}\nto ship it: kdstudio export {args.run} --student {args.write}")
    return 0


def _check_arguments(args: argparse.Namespace, folder: RunFolder) -> None:
    if len(args.classes) != len(args.by):
        raise InputError(
            f"--class is given {len(args.classes)} times and --by {len(args.by)} times",
            why="each class needs to be told how far",
            fix="for example --class 3 --by 3.5",
        )
    if args.prior and args.classes:
        raise InputError("--prior and --class are both given", fix="keep one of them")
    if args.write is None:
        return
    check_name(args.write)
    if not args.prior and not args.classes:
        raise InputError("--write: there is no shift to write", fix="add --class NAME --by X, or --prior uniform")
    if folder.status().active:
        raise RunBusyError(
            f"{folder.name}: this run is still at work ({folder.status().text(folder.state()).lower()})",
            fix="wait for it, or stop it",
        )


def _said(student: Student, bundle: DataBundle, split: str) -> np.ndarray:
    from kdstudio.engine.evaluate import predict

    return predict(student.model, student.preprocess, bundle.splits[split], "cpu").numpy()


def _as_json(
    classes: list[str], shift: np.ndarray, chosen: str, found: dict[str, Effects], written: str | None
) -> dict[str, Any]:
    splits = {
        name: {"before": as_dict(before, classes), "after": as_dict(after, classes)}
        for name, (before, after) in found.items()
    }
    return {"chosen": chosen, "shift": dict(zip(classes, shift.tolist())), **splits, "folder": written}


def _text(classes: list[str], shift: np.ndarray, found: dict[str, Effects], every: bool) -> str:
    """Accuracy before and after: of all samples, and of each class that is shifted, or of every one."""
    changed = bool(shift.any())
    shown = [place for place in range(len(classes)) if every or not changed or shift[place]]
    before, after = found["validation"]
    rows = [["", *found, "mean share", "shift"]]
    rows.append(["all", *(_change(each[0].accuracy, each[1].accuracy, changed) for each in found.values()), "", ""])
    for place in shown:
        scores = (_change(one.per_class[place], two.per_class[place], changed) for one, two in found.values())
        share = _change(before.shares[place], after.shares[place], changed)
        rows.append([classes[place], *scores, share, f"{shift[place]:+.2f}" if changed else ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["accuracy in %, all and by class; the mean share a class is given on validation samples"]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _change(before: float | None, after: float | None, changed: bool) -> str:
    texts = ["-" if value is None else f"{100 * value:.2f}" for value in (before, after)]
    return " -> ".join(texts) if changed else texts[0]
