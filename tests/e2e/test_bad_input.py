"""Bad input on the command line: what, why and what to do on stderr, no traceback, exit code 2, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdstudio.project.folder import Project

PLAIN = """\
data: {source: digits, train_limit: 60}
teacher: {model: mlp, widths: [9], train: {epochs: 1}}
student: {model: mlp, widths: [8]}
objective: [{term: hard}]
train: {epochs: 1}
evaluate: {latency: false}
"""


def changed(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)


def hint(teacher: str, student: str) -> str:
    pairs = f"[{{teacher: {teacher}, student: {student}}}]"
    return changed("[{term: hard}]", f"[{{term: hard}}, {{term: hint, pairs: {pairs}}}]")


def own(model: str) -> str:
    return changed("{model: mlp, widths: [8]}", f'{{model: "{model}"}}')


def folder(path: str) -> str:
    return changed("digits, train_limit: 60", f"folder, path: {path}")


def arrays(path: str) -> str:
    return changed("digits, train_limit: 60", f"npz, path: {path}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (changed("train: {epochs: 1}\ne", "trian: {}\ne"), "trian: unknown key 'trian'; did you mean 'train'?"),
        (changed("[8]}", "[8], widht: 3}"), "student.widht: unknown key 'widht'; did you mean 'widths'?"),
        (
            changed("train: {epochs: 1}\n", "train: {epochs: many}\n"),
            "train.epochs: should be a whole number (it is 'many'); for example 10",
        ),
        (changed("[8]", "8"), "student.widths: should be a list (it is 8)"),
        (changed("mlp, widths: [8]", "mpl, widths: [8]"), "student.model: unknown model 'mpl'; did you mean 'mlp'?"),
        (changed("digits", "digit"), "data: unknown source 'digit'; did you mean 'digits'?"),
        (changed("term: hard", "term: sofd"), "objective.0: unknown term 'sofd'; did you mean 'soft'?"),
        (changed("student: {model: mlp, widths: [8]}\n", ""), "student: a required key is missing; add it: The stu"),
        (PLAIN + "train: {}\n", "this is not valid YAML in line 7, column 1: the key 'train' stands twice"),
        ("", "expected keys and values, found empty"),
    ],
)  # fmt: skip
def test_a_file_that_says_what_cannot_be(project: Project, command: Any, text: str, expected: str) -> None:
    path = project.experiments_dir / "bad.yaml"
    path.write_text(text)
    code, out, err = command("run", path)
    assert code == 2
    assert err.startswith(f"kdstudio: experiments/bad.yaml: {expected}")
    assert out == ""
    assert path.read_text() == text
    assert not project.runs_dir.exists()  # no run was begun


def images(root: Path, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def prepare(root: Path) -> None:
    images(root / "gap", {"cat": 5, "dog": 0})
    images(root / "lonely", {"cat": 5, "dog": 1})
    images(root / "corrupt", {"cat": 5, "dog": 5})
    (root / "corrupt" / "dog" / "torn.png").write_bytes((root / "corrupt" / "dog" / "0.png").read_bytes()[:60])
    (root / "corrupt" / "cat" / "note.jpg").write_text("not a picture")
    features = np.zeros((9, 4), np.float32)
    np.savez(root / "below.npz", features=features, labels=np.array([0, 1, -2] * 3))
    np.savez(root / "above.npz", features=features, labels=np.array([0, 1, 2] * 3))
    (root / "models.py").write_text(MODELS)


MODELS = """\
from torch import nn

def build(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

def five(input_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))

def wrong(input_shape, num_classes):
    return 1 / 0
"""

ENGINE: dict[str, tuple[str, list[str], list[str]]] = {
    "no array file": (arrays("no.npz"), [], [
        "no.npz: the file does not exist",
        "Why: It was looked for at ROOT/no.npz.",
        "What to do: Check data.path.",
    ]),
    "no image folder": (folder("nowhere"), [], [
        "nowhere: the folder does not exist",
        "Why: It was looked for at ROOT/nowhere.",
        "What to do: Check data.path; it is relative to the project.",
    ]),
    "an empty class": (folder("gap"), [], [
        "gap: no images in the class folder 'dog'",
        "Why: Images end in .bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .ppm, .tif, .tiff, .webp.",
        "What to do: Put at least 3 images into each, or remove the folder.",
    ]),
    "a class of one image": (folder("lonely"), [], [
        "lonely: a class needs at least 3 samples to be split, and 'dog' has 1",
        "Why: One sample is needed for training, one for validation, one for test.",
        "What to do: Add samples to these classes or remove them.",
    ]),
    "corrupt images": (folder("corrupt"), [], [
        "corrupt: 2 of 12 images cannot be read:",
        "  cat/note.jpg (not an image)",
        "  dog/torn.png (ANYTHING)",
        "Why: The files are damaged, empty, or not images in spite of their names.",
        "What to do: Replace or remove these files, or set data.unreadable to leave_out to go on without them.",
    ]),
    "a label below 0": (arrays("below.npz"), [], [
        "below.npz: label -2 is below 0 (first at sample 2)",
        "What to do: Count the classes from 0; -1 is for samples without a label.",
    ]),
    "a label that has no class": (arrays("above.npz, classes: [a, b]"), [], [
        "above.npz: label 2 at sample 2 is out of range",
        "Why: data.classes names 2 classes, so labels go from 0 to 1.",
        "What to do: Name the missing classes, or correct the labels.",
    ]),
    "a layer that does not exist": (hint("hidden1", "hiden1"), [], [
        "objective.1.pairs.0.student: no layer 'hiden1' in mlp",
        "What to do: did you mean 'hidden1'?",
    ]),
    "layers that cannot be joined": (hint("hidden1", "stage1"), ["student={model: cnn, widths: [4]}"], [
        "objective.1.pairs.0: 'hidden1' of the teacher and 'stage1' of the student: features of shape (4, 8, 8) "
        "(student) and (9,) (teacher) cannot be joined",
        "Why: a regressor joins vector with vector, map with map, and token sequences of one length",
        "What to do: choose two layers of one kind",
    ]),
    "no weights file": (changed("[8]", "[8], weights: no.pt"), [], [
        "student.weights: there is no file 'no.pt'",
        "Why: looked for ROOT/no.pt",
        "What to do: give a path relative to the project, or run:EXPERIMENT",
    ]),
    "weights of a run that is not there": (changed("[8]", "[8], weights: \"run:other\""), [], [
        "student.weights: no finished run for 'run:other'",
        "What to do: run that experiment first; there are: bad, quick",
    ]),
    "a device that is not there": (PLAIN, ["train.device=cuda:9"], [
        "train.device: there is no device 'cuda:9' here",
        "Why: PyTorch sees ANYTHING CUDA devices",
        "What to do: use auto or cpu; kdstudio doctor lists the devices",
    ]),
    "fp16 without CUDA for the teacher": (PLAIN, ["train.device=cpu", "teacher.train.precision=fp16"], [
        "teacher.train.precision: fp16 needs a CUDA device, and this run uses cpu",
        "What to do: use auto, fp32 or bf16",
    ]),
    "fp16 without CUDA": (PLAIN, ["train.device=cpu", "train.precision=fp16"], [
        "train.precision: fp16 needs a CUDA device, and this run uses cpu",
        "What to do: use auto, fp32 or bf16",
    ]),
    "an untrusted model file": (own("models.py:build"), [], [
        "student.model: models.py:build is a Python file of this project, and the project is not trusted",
        "Why: A model file is a program: it can do on this computer whatever you can do.",
        "What to do: Read ROOT/models.py; if you trust it, trust the project: in the window, or with "
        "kdstudio trust PROJECT.",
    ]),
    "a network of other classes": (own("models.py:five"), ["trusted"], [
        "student.model: models.py:five gives outputs of shape (5,) for each sample",
        "Why: The data has 10 classes, so it should give (10,).",
        "What to do: Make the last layer as wide as num_classes, and flatten what comes before it.",
    ]),
    "a model file that fails": (own("models.py:wrong"), ["trusted"], [
        "student.model: models.py, line 10: wrong() failed",
        "Why: ZeroDivisionError: division by zero",
        "What to do: Correct that line.",
    ]),
    "a function that is not there": (own("models.py:biuld"), ["trusted"], [
        "student.model: models.py has no function 'biuld'",
        "What to do: did you mean 'build'?",
    ]),
    "a model file that is not there": (own("modles.py:build"), ["trusted"], [
        "student.model: the file modles.py does not exist",
        "Why: It was looked for at ROOT/modles.py.",
        "What to do: Check 'model'.",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", ENGINE)
def test_what_only_the_engine_can_know(project: Project, command: Any, case: str) -> None:
    text, changes, expected = ENGINE[case]
    prepare(project.root)
    path = project.experiments_dir / "bad.yaml"
    path.write_text(text)
    if "trusted" in changes:
        assert command("trust", project.root)[0] == 0
    words = [word for change in changes if change != "trusted" for word in ("--set", change)]
    code, _, err = command("run", path, "--quiet", *words)
    assert code == 2
    lines = err.replace(str(project.root), "ROOT").splitlines()
    assert lines[0].startswith("kdstudio: ")
    lines[0] = lines[0].removeprefix("kdstudio: ")
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected):
        start, _, end = wanted.partition("ANYTHING")
        assert line.startswith(start)
        assert line.endswith(end)
    state = project.runs("bad")[0].state()
    assert state.phase == "failed"
    assert state.error is not None
    assert err == "kdstudio: " + told(state.error)
    assert not (project.root / "teachers").exists()  # nothing was trained before it was found


def told(error: dict[str, str]) -> str:
    why = f"Why: {error['why']}\n" if error["why"] else ""
    fix = f"What to do: {error['fix']}\n" if error["fix"] else ""
    return f"{error['what']}\n{why}{fix}"


def test_a_trusted_model_file_runs_until_the_trust_is_taken_back(project: Project, command: Any) -> None:
    prepare(project.root)
    path = project.experiments_dir / "own.yaml"
    path.write_text(own("models.py:build"))
    code, out, _ = command("trust", project.root)
    assert (code, out) == (0, f"{project.root} is trusted: its Python files may run\n")
    assert command("run", path, "--quiet") == (0, "", "")
    code, out, _ = command("trust", project.root, "--remove")
    assert (code, out) == (0, f"{project.root} is no longer trusted\n")
    assert command("run", path, "--quiet")[0] == 2
    assert [run.state().phase for run in project.runs("own")] == ["finished", "failed"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("train.epoch=3", "--set: train.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("train.epochs=abc", "--set: train.epochs: should be a whole number (it is 'abc'); for example 10"),
        ("train", "--set train: expected PATH=VALUE\nWhat to do: for example --set train.epochs=5"),
        ("=3", "--set =3: expected PATH=VALUE"),
        ("trian.epochs=3", "--set trian.epochs=3: there is no 'trian'\nWhat to do: did you mean 'train'?"),
        ("objective.7.weight=1", "--set objective.7.weight=1: '7' is no place in 'objective'"),
        ("train.epochs.more=1", "--set train.epochs.more=1: 'train.epochs' has no parts"),
        ("train.epochs=[1", "--set train.epochs: this is not valid YAML"),
    ],
)
def test_a_change_that_cannot_be_made(project: Project, command: Any, change: str, expected: str) -> None:
    code, out, err = command("run", project.experiments_dir / "quick.yaml", "--set", change)
    assert (code, out) == (2, "")
    assert err.startswith(f"kdstudio: {expected}")
    assert not project.runs_dir.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (lambda root: ["run", root / "a" / "b"], "there is no experiment 'ROOT/a/b'\nWhat to do: give a YAML file"),
        (lambda root: ["run", root / "quik"], "there is no experiment 'quik' in ROOT\nWhat to do: did you mean 'qui"),
        (lambda root: ["run", root.parent], "PARENT: this folder is no KD Studio project\nWhy: it has no project.yaml"),
        (lambda root: ["run", root / "runs"], "ROOT/runs: this folder is no KD Studio project"),
        (lambda root: ["run", root, "--resume"], "there is no run of 'quick' to resume\nWhat to do: start one without"),
        (lambda root: ["run", root, "--resume", "--out", root / "no"], "ROOT/no: there is no run here"),
        (lambda root: ["run", root, "--out", root], "--out ROOT: this folder is not empty"),
        (lambda root: ["compare", root / "no"], "ROOT/no: there is no such folder"),
        (lambda root: ["compare", root.parent], "PARENT: this folder is no KD Studio project"),
        (lambda root: ["trust", root.parent], "PARENT: this folder is no KD Studio project"),
        (lambda root: ["evaluate", root], "ROOT: there is no run here\nWhy: a run folder holds experiment.yaml"),
        (lambda root: ["hold", root], "ROOT: there is no run here"),
        (lambda root: ["new", root], "ROOT: already exists and is not empty\nWhat to do: choose a new folder"),
        (
            lambda root: ["new", root / "a", "--template", "digts"],
            "there is no template 'digts'\nWhat to do: did you mean 'digits'?",
        ),
        (
            lambda root: ["rnu", root],
            "there is no project 'rnu', and no verb of that name either\nWhat to do: did you mean 'run'?",
        ),
        (
            lambda root: ["qqq"],
            "there is no project 'qqq', and no verb of that name either\nWhat to do: kdstudio --help lists the verbs",
        ),
    ],
)  # fmt: skip
def test_words_that_lead_nowhere(
    project: Project, command: Any, words: Callable[[Path], list[object]], expected: str
) -> None:
    (project.root / "runs").mkdir()
    code, out, err = command(*words(project.root))
    assert (code, out) == (2, "")
    told = err.replace(str(project.root), "ROOT").replace(str(project.root.parent), "PARENT")
    assert told.startswith(f"kdstudio: {expected}")
    assert not list(project.runs_dir.iterdir())


@pytest.mark.parametrize("words", [["run"], ["--bogus"], ["run", "x", "--bogus"], ["compare", "x", "--csv", "--json"]])
def test_wrong_options(command: Any, words: list[str]) -> None:
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert err.startswith("usage: kdstudio")


def test_no_screen(project: Project, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = command(project.root)
    assert code == 1
    assert err.splitlines() == [
        "kdstudio: the window cannot start",
        "Why: there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set",
        "What to do: kdstudio run works without a window; xvfb-run -a kdstudio ... makes a screen in memory",
    ]


def test_a_mistake_of_our_own_shows_no_traceback(
    project: Project, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: object) -> None:
        raise ZeroDivisionError("by zero\nand more")

    monkeypatch.setattr("kdstudio.commands.compare.Project.open", broken)
    code, out, err = command("compare", project.root)
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == "kdstudio: something unexpected went wrong: ZeroDivisionError: by zero"
    monkeypatch.setenv("KDSTUDIO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        command("compare", project.root)
