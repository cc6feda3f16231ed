"""Project folders: made from templates, opened, read, saved, moved."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdstudio.project import folder as folder_module
from kdstudio.project.errors import InputError, SpecError, StorageError
from kdstudio.project.folder import Project, compact, create_project, find_project, load_experiment, templates
from kdstudio.project.settings_path import cache_dir, config_dir
from kdstudio.project.shipped import resource, sample_projects
from kdstudio.project.spec import Experiment, validate
from kdstudio.project.yaml_io import dump_yaml, parse_yaml

TEMPLATES = [*templates(), "empty"]
SMALL = "student: {model: mlp}\nobjective:\n  - {term: hard}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(tmp_path / "project", "empty")


def put(project: Project, name: str, text: str = SMALL) -> Path:
    path = project.experiments_dir / name
    path.write_text(text, encoding="utf-8")
    return path


# -- templates -----------------------------------------------------------------------------------------------------


def test_the_samples_are_templates() -> None:
    assert {"digits", "fashion-mnist"} <= set(templates())
    assert resource("themes/dark.json").exists()


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_from_each_template(template: str, tmp_path: Path) -> None:
    project = create_project(tmp_path / "mine", template)
    assert Project.open(tmp_path / "mine").title == project.title
    assert project.root == tmp_path / "mine"
    assert project.experiments_dir.is_dir()
    assert project.runs() == []
    if template == "empty":
        assert project.title == "mine"
        assert project.default_experiment() is None
        return
    assert project.experiment_names() == Project.open(templates()[template]).experiment_names() != []
    assert project.default_experiment() == project.file.default
    for name in project.experiment_names():
        experiment = project.load(name)
        assert experiment.name == name
        assert experiment.version == 1


@pytest.mark.parametrize("template", sorted(templates()))
def test_opening_and_saving_a_template_changes_no_letter(template: str, tmp_path: Path) -> None:
    project = create_project(tmp_path / "mine", template)
    for path in project.experiment_files():
        before = path.read_text(encoding="utf-8")
        assert before.startswith("#")
        project.save(project.load(path), path)
        assert path.read_text(encoding="utf-8") == before


def test_a_copy_is_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships may be read-only, and may have been used; the copy is neither."""
    shipped = tmp_path / "shipped" / "digits"
    shutil.copytree(templates()["digits"], shipped, ignore=shutil.ignore_patterns("runs", "teachers"))
    for waste in ("runs/hints/001", "teachers/mlp", ".kdstudio/trash", "__pycache__", "experiments/__pycache__"):
        (shipped / waste).mkdir(parents=True)
        (shipped / waste / "file").write_text("x")
    (shipped / "project.yaml").chmod(0o444)
    monkeypatch.setattr(folder_module, "sample_projects", lambda: shipped.parent)
    project = create_project(tmp_path / "mine", "digits")
    assert sorted(path.name for path in project.root.iterdir()) == ["experiments", "project.yaml"]
    assert not (project.experiments_dir / "__pycache__").exists()
    assert (project.root / "project.yaml").stat().st_mode & 0o200
    monkeypatch.setattr(folder_module, "sample_projects", lambda: tmp_path / "nowhere")
    assert templates() == {}


def test_an_unknown_template(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        create_project(tmp_path / "a", "digit")
    assert str(caught.value) == "there is no template 'digit'\nWhat to do: did you mean 'digits'?"
    with pytest.raises(
        InputError, match="there are: digits, fashion-mnist, email, tiny-lm, hinton-mnist, fitnets, cifar100, empty"
    ):
        create_project(tmp_path / "a", "xyz")
    assert not (tmp_path / "a").exists()


def test_where_a_project_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    assert create_project(tmp_path / "empty").default_experiment() == "soft-targets"
    with pytest.raises(InputError, match="already exists and is not empty"):
        create_project(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="already exists and is not empty"):
        create_project(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be written"):
        create_project(tmp_path / "file" / "below")
    assert create_project(tmp_path / "a" / "b" / "c", "empty").title == "c"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert create_project("~/mine", "empty").root == tmp_path / "mine"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert create_project(".", "empty").title == "here"
    long = "x" * 200
    assert create_project(tmp_path / long, "empty").title == "x" * 120


def test_a_disk_that_is_full_leaves_no_half_project(mount: Callable[[str], Path]) -> None:
    disk = mount("size=8k")
    (disk / "fill").write_bytes(b"x" * 8192)
    for template in ("digits", "empty"):
        with pytest.raises(StorageError) as caught:
            create_project(disk / "mine", template)
        assert caught.value.kind == "disk-full"
        assert not (disk / "mine").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, read_only: Callable[[Path], Path]) -> None:
    (tmp_path / "parent").mkdir()
    parent = read_only(tmp_path / "parent")
    for template in ("digits", "empty"):
        with pytest.raises(StorageError) as caught:
            create_project(parent / "mine", template)
        assert caught.value.kind == "read-only"
        assert not (parent / "mine").exists()


# -- opening -------------------------------------------------------------------------------------------------------


def test_a_project_opens_by_folder_and_by_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Project.open(project.root / "project.yaml").root == project.root
    assert Project.open(str(project.root)).root == project.root
    monkeypatch.chdir(project.root)
    assert Project.open(".").root == project.root
    assert Project.open("project.yaml").root == project.root


def test_what_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder") as caught:
        Project.open(tmp_path / "nowhere")
    assert "kdstudio new" in caught.value.fix
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="there is no such folder"):
        Project.open(tmp_path / "file")
    with pytest.raises(InputError, match="there is no such folder"):
        Project.open("~nobody-of-this-name/project")
    with pytest.raises(InputError, match="there is no such folder"):
        Project.open(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="is no KD Studio project") as caught:
        Project.open(tmp_path)
    assert caught.value.kind == "no-project"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae: x\n", "project.yaml: nmae: unknown key 'nmae'; did you mean 'name'?"),
        ("name: ''\n", "project.yaml: name: should have at least 1 character (it is ''); for example Untitled"),
        ("- a\n", "project.yaml: expected keys and values, found a list"),
        ("[]\n", "project.yaml: expected keys and values, found a list"),
        ("0\n", "project.yaml: expected keys and values, found a int"),
        ("version: 99\n", "project.yaml: version: 99 is newer than this program understands (1)"),
        ("name: [\n", "project.yaml: this is not valid YAML in line"),
    ],
)
def test_a_wrong_project_file(text: str, message: str, project: Project) -> None:
    (project.root / "project.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        Project.open(project.root)
    assert str(caught.value).startswith(message)


def test_an_empty_project_file_is_enough(project: Project) -> None:
    (project.root / "project.yaml").write_text("# to be filled\n")
    assert Project.open(project.root).title == "Untitled"


def test_find_project(project: Project, tmp_path: Path) -> None:
    assert find_project(project.experiments_dir) == project.root
    assert find_project(project.root / "not" / "there") == project.root
    assert find_project(tmp_path) is None


# -- experiments ---------------------------------------------------------------------------------------------------


def test_the_list_of_experiments(project: Project) -> None:
    for name in ("b.yaml", "a.yml", "c.yaml", ".c.yaml.new", ".hidden.yaml", "notes.txt", "d.yaml~"):
        put(project, name)
    assert project.experiment_names() == ["a", "b", "c"]
    assert project.path_of("a") == project.experiments_dir / "a.yml"
    assert project.path_of("new") == project.experiments_dir / "new.yaml"
    shutil.rmtree(project.experiments_dir)
    assert project.experiment_names() == []


def test_which_experiment_opens_first(project: Project) -> None:
    assert project.default_experiment() is None
    put(project, "b.yaml")
    put(project, "a.yaml")
    assert project.default_experiment() == "a"
    for default, found in (("b", "b"), ("gone", "a")):
        (project.root / "project.yaml").write_text(f"default: {default}\n")
        assert Project.open(project.root).default_experiment() == found


def test_the_name_is_that_of_the_file(project: Project) -> None:
    put(project, "a.yaml")
    put(project, "b.yaml", "name: other\n" + SMALL)
    put(project, "my one.yaml")
    assert project.load("a").name == "a"
    assert project.load("b").name == "other"
    with pytest.raises(SpecError, match=r"^experiments/my one.yaml: name: 'my one' cannot name a folder"):
        project.load("my one")


def test_loading_by_path(project: Project, tmp_path: Path) -> None:
    path = put(project, "a.yaml")
    assert project.load(path).name == "a"
    outside = tmp_path / "outside.yaml"
    outside.write_text(SMALL)
    assert project.load(outside).name == "outside"
    outside.write_text("student: 5\n")
    with pytest.raises(SpecError, match=f"^{outside}: student: should be keys and values"):
        project.load(outside)


def test_an_experiment_that_is_not_there(project: Project) -> None:
    with pytest.raises(InputError, match="there are: none"):
        project.load("a")
    put(project, "soft-targets.yaml")
    put(project, "hints.yaml")
    with pytest.raises(InputError) as caught:
        project.load("soft-target")
    assert caught.value.what == f"there is no experiment 'soft-target' in {project.root}"
    assert caught.value.fix == "did you mean 'soft-targets'?"
    with pytest.raises(InputError, match="there are: hints, soft-targets"):
        project.load("xyz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "experiments/a.yaml: expected keys and values, found empty"),
        ("student: {model: mlp\n", "experiments/a.yaml: this is not valid YAML in line"),
        ("student: {model: mlp}\nstudent: {model: cnn}\n", "experiments/a.yaml: this is not valid YAML in line 2"),
        ("studnet: {model: mlp}\n", "experiments/a.yaml: student: a required key is missing"),
        (SMALL + "train: {epochs: 0}\n", "experiments/a.yaml: train.epochs: should be greater than or equal to 1"),
        ("version: 2\n" + SMALL, "experiments/a.yaml: version: 2 is newer"),
    ],
)
def test_a_wrong_experiment_names_its_file(text: str, message: str, project: Project) -> None:
    put(project, "a.yaml", text)
    with pytest.raises(InputError) as caught:
        project.load("a")
    assert str(caught.value).startswith(message)


# -- saving --------------------------------------------------------------------------------------------------------


def test_saving_a_new_experiment_writes_what_differs(project: Project) -> None:
    experiment = validate(Experiment, {"name": "new", "student": {"model": "mlp"}, "teacher": {"model": "cnn"}})
    path = project.save(experiment)
    assert path == project.experiments_dir / "new.yaml"
    assert path.read_text() == (
        "version: 1\n"
        "name: new\n"
        "data: {source: digits}\n"
        "teacher: {model: cnn}\n"
        "student: {model: mlp}\n"
        "objective:\n"
        "  - {term: hard, weight: 0.1}\n"
        "  - {term: soft, weight: 0.9, temperature: 4.0}\n"
    )
    assert project.load("new") == experiment


def test_saving_keeps_what_a_person_wrote(project: Project) -> None:
    text = (
        "# my experiment\n"
        "student: {model: mlp}  # small\n"
        "train:\n"
        "  momentum: 0.9   # the usual one, on purpose\n"
        "  epochs: 5\n"
        "baseline: false  # later\n"
        "objective:\n"
        "  - {term: hard, label_smoothing: 0.0, weight: 1}  # plain\n"
    )
    path = put(project, "a.yaml", text)
    experiment = project.load("a")
    experiment.train.epochs = 7
    experiment.train.lr = 0.1
    project.save(experiment, path)
    changed = text.replace("epochs: 5", "epochs: 7\n  lr: 0.1").replace(
        "student:", "version: 1\nname: a\ndata: {source: digits}\nstudent:"
    )
    assert path.read_text() == changed
    assert project.load("a") == experiment


def test_saving_what_was_written_long_ago(project: Project) -> None:
    old = "version: 0  # old\nalpha: 0.3  # share\nteacher: {model: mlp}\nstudent: {model: mlp}\n"
    path = put(project, "a.yaml", old)
    experiment = project.load("a")
    project.save(experiment, path)
    assert project.load("a") == experiment
    assert path.read_text().startswith("version: 1  # old\n")
    assert "alpha" not in path.read_text()


def _random_experiment(chance: random.Random) -> Experiment:
    def some(**values: Any) -> dict[str, Any]:
        return {key: value for key, value in values.items() if chance.random() < 0.4}

    data = chance.choice(
        [
            {"source": "digits"},
            {"source": "cifar10", **some(folder="x", download=False)},
            {"source": "folder", "path": "no", **some(image_size=8, grayscale=True, unreadable="leave_out")},
            {"source": "npz", "path": "a b.npz", **some(classes=["1", "yes", "ü"])},
        ]
    )
    data |= some(batch_size=chance.choice([128, 32]), augment=chance.choice([[], ["crop", "flip"]]), train_limit=9)
    train = some(epochs=chance.choice([10, 20]), lr=1e-4, schedule="multistep", milestones=[1, 5], clip_norm=1.0)
    if train.get("schedule") == "multistep":
        train["milestones"] = [1, 2]
    schedule = some(schedule={"kind": "cosine", "start": 0.0})
    terms = [
        {"term": "hard", **some(weight=chance.choice([1, 0.5]), label_smoothing=0.1), **schedule},
        {"term": "soft", **some(temperature=chance.choice([4, 2.5]), from_epoch=1)},
        {"term": "hint", "pairs": [{"teacher": "a", "student": "1"}], **some(until_epoch=3)},
    ]
    spec = {
        "name": "x",
        "student": {"model": "mlp", **some(widths=[8], args={"a": {"b": [1, None]}}, dropout=0.5)},
        "teacher": {"model": "timm:x", **some(pretrained=True, train=train)},
        "objective": [terms[0], *chance.sample(terms[1:], chance.randint(0, 2))],
        **some(data=data, train=train, notes="one\ntwo: 3\n", baseline=True, monitor={"probes": 4}),
    }
    return validate(Experiment, spec)


def test_what_is_saved_is_loaded_again(project: Project) -> None:
    chance = random.Random(0)
    for _ in range(60):
        experiment = _random_experiment(chance)
        assert validate(Experiment, parse_yaml(dump_yaml(compact(experiment)))) == experiment
        project.save(experiment)  # over the one before
        assert project.load("x") == experiment


def test_a_save_that_fails_leaves_the_old_file(project: Project, read_only: Callable[[Path], Path]) -> None:
    path = put(project, "a.yaml")
    locked = Project.open(read_only(project.root))
    experiment = locked.load("a")
    experiment.train.epochs = 3
    with pytest.raises(StorageError) as caught:
        locked.save(experiment)
    assert caught.value.kind == "read-only"
    assert locked.path_of("a").read_text() == path.read_text() == SMALL


# -- trust, and moving ---------------------------------------------------------------------------------------------


def test_trust_is_kept_outside_of_the_project(project: Project, own_settings: Path) -> None:
    before = sorted(project.root.rglob("*"))
    assert not project.trusted
    project.trust()
    assert project.trusted
    assert Project.open(project.root).trusted
    assert sorted(project.root.rglob("*")) == before
    assert json.loads((own_settings / "config" / "trusted.json").read_text()) == [str(project.root)]
    project.trust()
    project.trust(False)
    assert not project.trusted
    project.trust(False)


def test_trust_is_one_project_s(project: Project, tmp_path: Path) -> None:
    other = create_project(tmp_path / "project-two", "empty")
    inner = create_project(project.root / "inner", "empty")
    project.trust()
    assert not other.trusted
    assert not inner.trusted
    (tmp_path / "link").symlink_to(project.root)
    assert Project.open(tmp_path / "link").trusted


@pytest.mark.parametrize("content", ["", "{", "5", "null", "{}", '"text"', "[1, [2], null]", "\xff"])
def test_a_damaged_list_of_trust_trusts_nobody(content: str, project: Project) -> None:
    config_dir().mkdir(parents=True)
    (config_dir() / "trusted.json").write_bytes(content.encode("latin-1"))
    assert not project.trusted
    project.trust()
    assert project.trusted


def test_a_project_that_was_moved_still_works(tmp_path: Path) -> None:
    project = create_project(tmp_path / "old", "digits")
    project.trust()
    run = project.create_run(project.load("hints"))
    frozen = run.experiment()
    project.root.rename(tmp_path / "new")
    moved = Project.open(tmp_path / "new")
    assert moved.load("hints") == frozen
    (again,) = moved.runs("hints")
    assert again.path == tmp_path / "new" / "runs" / "hints" / "001"
    assert again.project_root == moved.root
    assert again.experiment() == frozen
    assert moved.create_run(frozen).number == 2
    assert not moved.trusted  # a copy from elsewhere may hold other files
    for path in moved.root.rglob("*"):
        assert not path.is_file() or str(tmp_path) not in path.read_text(encoding="utf-8")


def test_settings_have_their_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KDSTUDIO_CONFIG", str(tmp_path / "c"))
    monkeypatch.setenv("KDSTUDIO_CACHE", str(tmp_path / "d"))
    assert (config_dir(), cache_dir()) == (tmp_path / "c", tmp_path / "d")
    monkeypatch.delenv("KDSTUDIO_CONFIG")
    monkeypatch.delenv("KDSTUDIO_CACHE")
    assert "kdstudio" in str(config_dir())
    assert "kdstudio" in str(cache_dir())
    assert sample_projects().is_dir()


def test_a_lone_file(tmp_path: Path) -> None:
    path = tmp_path / "lone.yaml"
    path.write_text(SMALL)
    assert load_experiment(path).name == "lone"
    with pytest.raises(InputError, match=f"^{tmp_path / 'gone.yaml'}: there is no such file"):
        load_experiment(tmp_path / "gone.yaml")
