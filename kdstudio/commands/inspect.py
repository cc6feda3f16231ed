"""`kdstudio inspect MODEL|DATA`: layers, shapes and costs of a model; counts and problems of data; or an experiment.

With `--serve` it answers the window's questions about these for as long as the window is open.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdstudio.commands.inspect_pairs import describe_pairs, pairs_text
from kdstudio.commands.inspect_text import text_report
from kdstudio.commands.inspect_words import as_text
from kdstudio.project.errors import InputError, KDStudioError, ModelError
from kdstudio.project.folder import Project, find_project, load_experiment
from kdstudio.project.kept_layers import chosen_layers
from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.spec import (
    FROM_TEACHER,
    KNOWN,
    DataBase,
    Digits,
    Experiment,
    ImageFolder,
    KnownImages,
    LayersSpec,
    ModelSpec,
    NumpyFile,
    StudentSpec,
    TaggedText,
    TextCorpus,
    TextTable,
    suggestion,
    validate,
)
from kdstudio.project.tagged import CONLL, looks_tagged

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdstudio.engine.data import DataBundle
    from kdstudio.engine.models import LayerInfo

#: The column of a table that is taken where none is named.
TEXT = "text"
#: A name that ends so is meant as a file.
_DATA_FILES = (*CONLL, ".csv", ".tsv", ".jsonl", ".txt", ".gz", ".npz", ".json", ".yaml", ".yml", ".safetensors", ".pt")
_FILE_HINTS = {
    ".py": "Name the function that builds the network, for example models.py:build.",
    ".safetensors": "Weights do not say what network they are for: inspect the network by its name.",
    ".pt": "Weights do not say what network they are for: inspect the network by its name.",
    ".pth": "Weights do not say what network they are for: inspect the network by its name.",
    ".png": "Give the folder with one sub-folder of images per class.",
    ".jpg": "Give the folder with one sub-folder of images per class.",
}
_KNOWN_DATA = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Adds the verb to the command line."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "inspect",
        help="layers, shapes and costs of a model, or what is in the data",
        description="Shows the layers, output shapes, parameters and FLOPs of a model; the classes, counts and "
        "problems of data; or data, teacher and student of an experiment.",
    )
    parser.add_argument(
        "target",
        metavar="MODEL|DATA",
        nargs="?",
        help="a model (resnet20, timm:NAME, models.py:build), data (digits, mnist, an image folder, a .npz, .csv, "
        ".tsv, .jsonl, .conll or .txt file), an experiment's YAML file or a project folder",
    )
    parser.add_argument(
        "--input-shape",
        metavar="C,H,W",
        default=None,
        help="shape of one sample for a model: channels, height, width, or one number for features (default 3,32,32)",
    )
    parser.add_argument("--classes", metavar="N", type=int, default=None, help="classes of a model (default 10)")
    parser.add_argument(
        "--widths", metavar="W,W", default=None, help="widths of an mlp or a cnn, for example 1200,1200"
    )
    parser.add_argument(
        "--project", metavar="DIR", default=None, help="project folder that paths are relative to (default: found)"
    )
    parser.add_argument("--trust", action="store_true", help="let the project's own Python files run")
    parser.add_argument(
        "--examples", metavar="N", type=int, default=0, help="with --json: N pictures of each class, as PNG in base64"
    )
    parser.add_argument(
        "--pairs",
        metavar="WAY",
        help="of an experiment: layers worth pairing, as YAML; by stage, resolution, cka (the untrained student) or "
        "run:EXPERIMENT/NNN",
    )
    parser.add_argument("--term", default="hint", help="with --pairs: the term that is to take them (default hint)")
    parser.add_argument("--text", metavar="COLUMN", default=TEXT, help="of a table: the column with the text")
    parser.add_argument("--second", metavar="COLUMN", help="of a table: the column with a second text, for pairs")
    parser.add_argument("--label", metavar="COLUMN", default="label", help="of a table: the column with the label")
    parser.add_argument("--tokenizer", metavar="ID", help="of texts: a hub id, a folder or bpe:N (default bpe:4000)")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="of texts: tokens of a sample")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--serve", action="store_true", help="answer questions, one JSON object a line, until the input ends"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Inspects and prints. 0: all is well; 2: a part of an experiment cannot be used (it is said which and why).

    Raises:
        KDStudioError: The target itself is wrong.
    """
    if args.serve:
        from kdstudio.commands.inspect_serve import serve_process

        return serve_process()
    if not (args.target or "").strip():
        raise InputError("inspect: what is to be inspected?", fix="Give a model, data, an experiment or a project.")
    if args.pairs:
        found = describe_pairs(Path(args.target).expanduser(), args.pairs, args.term)
        print(json.dumps(found) if args.json else pairs_text(found))
        return 0
    report = inspect(args)
    print(json.dumps(report, ensure_ascii=False) if args.json else as_text(report))
    return 2 if report.get("errors") else 0


def inspect(args: argparse.Namespace) -> dict[str, Any]:
    """The answer as plain data; `kind` is "model", "data" or "experiment"."""
    target = str(args.target)
    path = Path(target).expanduser()
    if path.name == "project.yaml" and path.is_file():
        path = path.parent
    if not path.exists() and (path.parent / "project.yaml").exists():  # PROJECT/EXPERIMENT, as for run
        named = Project.open(path.parent).path_of(path.name)
        path = named if named.exists() else path
    if path.suffix in (".yaml", ".yml") or any((path / name).exists() for name in ("project.yaml", "experiment.yaml")):
        return _experiment(path, args)
    if (path / "student.json").exists():
        return _student(path, bool(args.trust))
    root, trusted = _surroundings(args, Path.cwd())
    data = _data_spec(target, path, args)
    if data is not None:
        return _data(data, root, args)
    if _looks_like_model(target):
        spec = validate(ModelSpec, {"model": target, "widths": _numbers(args.widths, "--widths")}, "MODEL")
        shape = tuple(_numbers(args.input_shape, "--input-shape") or [3, 32, 32])
        if len(shape) not in (1, 3):
            raise InputError(
                f"--input-shape: {args.input_shape!r} has {len(shape)} numbers",
                fix="Give channels, height and width, for example 3,32,32; or one number for features.",
            )
        if args.classes is not None and args.classes < 2:
            raise InputError(f"--classes: {args.classes} is too few", fix="Give at least 2.")
        return model_report(spec, shape, args.classes or 10, root, trusted)
    if not path.exists() and (path.suffix in _DATA_FILES or os.sep in target):
        raise InputError(f"{target}: there is no such file or folder", fix="check the path", kind="missing-file")
    if path.is_file():
        raise InputError(
            f"{target}: this file cannot be inspected",
            "Inspected are data in .npz files, experiments in .yaml files, and networks by name.",
            _FILE_HINTS.get(path.suffix, ""),
        )
    near = suggestion(target.lower(), (*KNOWN, *_KNOWN_DATA))
    raise InputError(
        f"'{target}' is no model, no data and no experiment that is known here",
        "There is no such file or folder, and no model or data set has that name.",
        near or f"Models: {', '.join(KNOWN)}, timm:NAME, torchvision:NAME. Data: {', '.join(_KNOWN_DATA)}.",
    )


def _numbers(text: str | None, option: str) -> list[int] | None:
    if text is None:
        return None
    parts = re.split(r"[,x ]+", text.strip("()[] "))
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{option}: '{text}' is not a list of whole numbers", fix="For example 3,32,32.")
    return [int(part) for part in parts]


def _surroundings(args: argparse.Namespace, start: Path) -> tuple[Path, bool]:
    """The project's folder (`start` where there is none) and whether its Python files may run."""
    root = Path(args.project).expanduser().resolve() if args.project else find_project(start.resolve())
    if root is None:
        return start.resolve(), bool(args.trust)
    return root, bool(args.trust) or Project.open(root).trusted


def _data_spec(target: str, path: Path, args: argparse.Namespace) -> DataBase | None:
    if target == "digits":
        return Digits()
    if target in _KNOWN_DATA:
        return validate(KnownImages, {"source": target}, "DATA")
    if path.suffix == ".npz":
        return NumpyFile(path=str(path.resolve()))
    kinds = [suffix.lower() for suffix in path.suffixes[-2:] if suffix.lower() != ".gz"]
    if path.is_file() and kinds and kinds[-1] in (".csv", ".tsv", ".jsonl", ".txt", *CONLL):
        tokenizer = args.tokenizer or "bpe:4000"
        common = {"path": str(path.resolve()), "tokenizer": tokenizer, "max_tokens": args.max_tokens}
        if args.text == TEXT and looks_tagged(path):
            return validate(TaggedText, common, "DATA")
        if kinds[-1] == ".txt":
            return validate(TextCorpus, common, "DATA")
        columns = {"text": args.text, "second": args.second, "label": args.label}
        return validate(TextTable, {**common, **columns}, "DATA")
    if path.is_dir():
        return ImageFolder(path=str(path.resolve()))
    return None


def _looks_like_model(target: str) -> bool:
    return target in KNOWN or bool(re.match(r"^(timm:|torchvision:|resnet\d+$|wrn-)|\.py:\w+$|.*\.py:\w+$", target))


def _experiment(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    if path.is_dir() and not (path / "experiment.yaml").exists():
        project = Project.open(path)
        name = project.default_experiment()
        if name is None:
            raise InputError(f"{path}: the project has no experiment", fix="Add one to its folder experiments/.")
        file, experiment = project.path_of(name), project.load(name)
        root, trusted = project.root, bool(args.trust) or project.trusted
    elif (path / "experiment.yaml").exists():
        folder = RunFolder.open(path)
        file, experiment, root = folder.experiment_path, folder.experiment(), folder.project_root
        trusted = bool(args.trust) or ((root / "project.yaml").exists() and Project.open(root).trusted)
    else:
        if not path.exists():
            raise InputError(f"{path}: the file does not exist", fix="Check the path.")
        file, experiment = path, load_experiment(path)
        root, trusted = _surroundings(args, path.resolve().parent)
    return describe_experiment(experiment, file, root, trusted, args)


def _student(folder: Path, trust: bool) -> dict[str, Any]:
    """The network in the folder of a student, or of one that was exported as safetensors."""
    from kdstudio.engine.student_io import load_student

    student = load_student(folder, trust)
    facts = student.text.to_dict() if student.text is not None else None
    return model_report(student.spec, student.input_shape, student.outputs, folder, trust, facts=facts)


def describe_experiment(
    experiment: Experiment, file: Path, root: Path, trusted: bool, args: argparse.Namespace
) -> dict[str, Any]:
    """Data, teacher and student, further teachers as `teacher-2` and assistants as `assistant-1`, where there are any.

    A part that fails is None or not there, and its error stands in `errors`, under the part's name.
    """
    report: dict[str, Any] = {"kind": "experiment", "name": experiment.name, "file": str(file)}
    report |= {"data": None, "teacher": None, "student": None, "errors": []}
    try:
        report["data"] = _data(experiment.data, root, args)
    except KDStudioError as error:
        report["errors"].append({"part": "data", **error.as_dict()})
        return report
    shape, classes = tuple(report["data"]["input_shape"]), int(report["data"]["outputs"])
    facts = (report["data"].get("text") or {}).get("facts")
    networks: list[tuple[str, ModelSpec | None]] = [("teacher", experiment.teacher)]
    networks += [(f"teacher-{number}", spec) for number, spec in enumerate(experiment.teachers, 2)]
    networks += [(f"assistant-{number}", spec) for number, spec in enumerate(experiment.assistants, 1)]
    for part, spec in [*networks, ("student", experiment.student)]:
        if spec is None:
            continue
        try:
            report[part] = model_report(spec, shape, classes, root, trusted, facts=facts, teacher=experiment.teacher)
        except KDStudioError as error:
            report["errors"].append({"part": part, **error.as_dict()})
    return report


def _data(spec: DataBase, root: Path, args: argparse.Namespace) -> dict[str, Any]:
    from kdstudio.engine.data import load_data

    quiet = args.json or not sys.stderr.isatty()
    bundle = load_data(spec, root, None if quiet else _show_progress)
    return data_report(bundle, args.examples if args.json else 0)


def data_report(bundle: DataBundle, examples: int, side: int | None = None) -> dict[str, Any]:
    """What is in the data, as plain data.

    Args:
        bundle: The data.
        examples: Pictures of each class; none are added for 0.
        side: The pictures are made smaller until they fit into this many pixels; None leaves them as they are.
    """
    counts = bundle.counts()
    report: dict[str, Any] = {
        "kind": "data",
        "name": bundle.name,
        "input_shape": list(bundle.input_shape),
        "classes": bundle.classes,
        "samples": {name: len(split) for name, split in {**bundle.splits, "train": bundle.transfer}.items()},
        "counts": counts,
        "left_out": {
            "classes": [bundle.classes[label] for label in bundle.left_out],
            "samples": len(bundle.train) - len(bundle.transfer),
        },
        "mean": bundle.mean,
        "std": bundle.std,
        "fingerprint": bundle.fingerprint(),
        "problems": bundle.problems,
    }
    report["outputs"] = bundle.outputs
    if bundle.unlabelled is not None:
        report["unlabelled"] = len(bundle.unlabelled)
    if bundle.stored is not None:
        report["stored"] = asdict(bundle.stored)
    if bundle.text is not None:
        report["text"] = text_report(bundle, max(examples, 1))
    elif examples > 0:
        report["examples"] = _examples(bundle, examples, side)
    return report


def _show_progress(label: str, done: int, total: int) -> None:
    share = f"{100 * done / total:.0f} %" if total else f"{done:,}"
    print(f"\r{label}: {share}", end="\n" if total and done >= total else "", file=sys.stderr, flush=True)


def _examples(bundle: DataBundle, count: int, side: int | None) -> list[dict[str, Any]]:
    """The first `count` training samples of each class: {"label", "index", "png"}. Features have no pictures."""
    if len(bundle.input_shape) != 3:
        return []
    return [
        {"label": label, "index": index, "png": png_of(bundle.train.images[index], side)}
        for label in range(len(bundle.classes))
        for index in (bundle.train.labels == label).nonzero().flatten()[:count].tolist()
    ]


def png_of(image: Tensor, side: int | None = None) -> str:
    """A picture uint8 [C, H, W] as PNG in base64, made smaller where it is larger than `side` pixels."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).numpy()
    if pixels.shape[-1] not in (1, 3, 4):  # two channels, or many bands: the first stands for them
        pixels = pixels[..., :1]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if side is not None:
        picture.thumbnail((side, side))
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode("ascii")


def model_report(
    spec: ModelSpec,
    shape: tuple[int, ...],
    classes: int,
    root: Path,
    trusted: bool,
    parts: bool = False,
    facts: dict[str, Any] | None = None,
    teacher: ModelSpec | None = None,
) -> dict[str, Any]:
    """Layers, shapes and costs of a model, as plain data.

    Args:
        spec, shape, classes, root, trusted: See `build_model`.
        parts: Also list every module as `parts`; each of them can be tapped.
        facts: Of texts, see `TextFacts`.
        teacher: What a student from its teacher's layers is made of.

    Raises:
        ModelError: It cannot be built, or its weights file does not fit.
    """
    from kdstudio.engine.models import build_model, count_flops, count_parameters, describe, load_weights
    from kdstudio.engine.text.build import from_teacher
    from kdstudio.engine.text.facts import TextFacts
    from kdstudio.engine.text.network import TextNetwork
    from kdstudio.engine.text.transfer import load_text_weights

    try:
        # The published weights change no shape and no cost, and fetching them could take minutes.
        plain = spec.model_copy(update={"pretrained": False})
        text = TextFacts.from_dict(facts) if facts is not None else None
        kept: list[int] | None = None
        if isinstance(spec, StudentSpec) and spec.model == FROM_TEACHER and teacher is not None:
            source = teacher.model_copy(update={"pretrained": False})
            origin = build_model(source, shape, classes, root, trusted, text)
            layers = spec.layers or LayersSpec()
            model: nn.Module = from_teacher(origin, layers)
            kept = chosen_layers(layers, int(origin.config.num_hidden_layers))  # type: ignore[union-attr, arg-type]
        else:
            model = build_model(plain, shape, classes, root, trusted, text)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise ModelError(
            f"{spec.model} cannot be built for samples of {' x '.join(map(str, shape))} and {classes} classes",
            str(error).splitlines()[0][:300] if str(error) else type(error).__name__,
            "Choose smaller widths or samples.",
        ) from None
    if spec.weights and not spec.weights.startswith("run:"):
        if isinstance(model, TextNetwork):
            load_text_weights(model, root / spec.weights, "weights")
        else:
            load_weights(model, root / spec.weights)
    report: dict[str, Any] = {
        "kind": "model",
        "model": spec.model,
        "input_shape": list(shape),
        "num_classes": classes,
        "parameters": count_parameters(model),
        "flops": count_flops(model, shape),
        "layers": [_layer(layer) for layer in describe(model, shape)],
    }
    if isinstance(model, TextNetwork):
        report["depth"] = int(model.config.num_hidden_layers)
    if kept is not None:
        report["kept"] = kept
    if parts:
        report["parts"] = [_layer(part) for part in describe(model, shape, every=True)]
    return report


def _layer(layer: LayerInfo) -> dict[str, Any]:
    return {**asdict(layer), "output_shape": list(layer.output_shape)}
