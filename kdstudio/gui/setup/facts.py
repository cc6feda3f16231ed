"""What the engine says of the open experiment: its data, its networks, its teacher's outputs. Asked when it changes."""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from PySide6.QtCore import QObject, Signal

from kdstudio.gui.engine_client import EngineClient
from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.joins import join
from kdstudio.project.errors import KDStudioError, SpecError
from kdstudio.project.folder import Project
from kdstudio.project.pairing import shapes_of
from kdstudio.project.spec import (
    FROM_TEACHER,
    JOIN_RULES,
    DataSpec,
    JoinRule,
    ModelSpec,
    StudentSpec,
    TeacherSpec,
    suggestion,
    validate,
)
from kdstudio.project.spec.text_data import lent_tokenizer

EXAMPLES = 8
SAMPLES = 24
NO_LAYER = {
    "teacher": mark("The teacher has no layer '{name}'; {advice}."),
    "student": mark("The student has no layer '{name}'; {advice}."),
}
PARTS = ("data", "teacher", "student", "logits")


class FactState(enum.Enum):
    """Where a part stands."""

    NONE = "none"  # nothing to ask: it is absent, or its settings are wrong
    ASKING = "asking"
    KNOWN = "known"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class Fact:
    """One part. While it is asked again the old answer stays."""

    state: FactState = FactState.NONE
    answer: dict[str, Any] | None = None
    error: KDStudioError | None = None
    progress: tuple[str, int, int] | None = None
    question: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Any] | None:
        """The answer, if it is the answer to what stands in the document now."""
        return self.answer if self.state is FactState.KNOWN else None


class Facts(QObject):
    """The facts of one experiment. Nothing is asked while `active` is off (the page is not on screen).

    Signals:
        changed: The part whose fact changed.
        names_changed: The libraries' models are known now.
    """

    changed = Signal(str)
    names_changed = Signal()

    def __init__(self, client: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.client = client
        self.parts = {part: Fact() for part in PARTS}
        self.names: list[str] = []
        self.active = False
        self.logits_wanted = False
        self._value: dict[str, Any] = {}
        self._project: Project | None = None
        self._may_download: set[str] = set()
        client.answered.connect(self._answered)
        client.failed.connect(self._failed)
        client.progressed.connect(self._progressed)

    @property
    def data(self) -> Fact:
        return self.parts["data"]

    @property
    def teacher(self) -> Fact:
        return self.parts["teacher"]

    @property
    def student(self) -> Fact:
        return self.parts["student"]

    @property
    def logits(self) -> Fact:
        return self.parts["logits"]

    # -- the chain -----------------------------------------------------------------------------------------------

    def assistants(self) -> list[Fact]:
        """Of each assistant in its place."""
        return [self.parts.get(part, Fact()) for part in self._assistant_parts()]

    @property
    def guide(self) -> Fact:
        """Of the network that the student learns from: the last assistant, else the teacher."""
        return [self.teacher, *self.assistants()][-1]

    def sides(self, path: str) -> tuple[Fact, Fact]:
        """Of the network that is learned from, and of the one that learns, by the term at a path."""
        head, *rest = path.split(".")
        if head != "assistants" or not rest or not rest[0].isdigit():
            return self.guide, self.student
        chain = [self.teacher, *self.assistants(), Fact()]
        place = min(int(rest[0]), len(chain) - 2)
        return chain[place], chain[place + 1]

    def _assistant_parts(self) -> list[str]:
        assistants = self._value.get("assistants")
        return [f"assistants.{place}" for place in range(len(assistants) if isinstance(assistants, list) else 0)]

    def _at(self, part: str) -> Any:
        """What the document says of a part."""
        head, _, place = part.partition(".")
        found = self._value.get(head)
        return found[int(place)] if place and isinstance(found, list) else found

    # -- asking ------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Another experiment, or none, is open."""
        self._value, self._project = {}, None
        for part in self.parts:
            self.client.cancel(part)
        self.parts = {part: Fact() for part in PARTS}
        for part in PARTS:
            self.changed.emit(part)

    def update(self, value: dict[str, Any], project: Project | None) -> None:
        """Asks what is not known yet of these contents."""
        self._value, self._project = value, project
        if not self.active or project is None:
            return
        self._ask("data", self._data_question())
        self._ask_models()

    def look_again(self, part: str) -> None:
        """Asks anew; files may have changed. For the logits the engine looks whether there is a teacher now."""
        if part == "logits":
            self.parts[part].question = {}
            self.update(self._value, self._project)
            return
        for fact in self.parts.values():
            fact.question = {}
        question = self._data_question()
        if question and self.active:
            self._set("data", Fact(FactState.ASKING, self.data.answer, question=question))
            self.client.ask("data", question, fresh=True)

    def cancel(self, part: str) -> None:
        """Gives up a question that takes long."""
        self.client.cancel(part)
        fact = self.parts[part]
        if fact.state is FactState.ASKING:
            self._set(part, Fact(FactState.CANCELLED, fact.answer, question=fact.question))

    def allow_download(self) -> None:
        """The person wants the data fetched."""
        self._may_download.add(str(self._value.get("data", {}).get("source")))
        self.update(self._value, self._project)

    @property
    def needs_download(self) -> bool:
        """Whether the data are not on this computer and may be fetched."""
        error = self.data.error
        wanted = bool(self._value.get("data", {}).get("download"))
        return error is not None and error.kind == "missing-data" and wanted and not self.data.question["download"]

    def want_names(self) -> None:
        """Asks for the models of the libraries, once."""
        if not self.names:
            self.client.ask("names", {"ask": "names"})

    def _ask(self, part: str, question: dict[str, Any] | None) -> None:
        fact = self.parts[part]
        if question is None:
            self.client.cancel(part)
            if fact.state is not FactState.NONE:
                self._set(part, Fact())
            return
        if question == fact.question:
            return
        self._set(part, Fact(FactState.ASKING, fact.answer, question=question))
        self.client.ask(part, question, keep=part != "logits")

    def _ask_models(self) -> None:
        wanted = self._assistant_parts()
        for part in [part for part in self.parts if part.startswith("assistants.") and part not in wanted]:
            self.client.cancel(part)
            del self.parts[part]
            self.changed.emit(part)
        for part in wanted:
            self.parts.setdefault(part, Fact())
        for side in ("teacher", *wanted, "student"):
            self._ask(side, self._model_question(side))
        self._ask("logits", self._logits_question())

    def _root(self) -> Path:
        assert self._project is not None
        return self._project.root

    def _data_question(self) -> dict[str, Any] | None:
        data = _valid(DataSpec, self._value.get("data"))
        if data is None:
            return None
        if data.get("tokenizer", "") is None:
            data["tokenizer"] = self._lent_tokenizer()
        return {
            "ask": "data",
            "root": str(self._root()),
            "data": {**data, "batch_size": 1},  # the size of batches changes nothing
            "examples": EXAMPLES,
            "download": data["source"] in self._may_download,
        }

    def _lent_tokenizer(self) -> str | None:
        """The tokenizer of the first network that has one, for texts that name none."""
        for side in ("teacher", "student"):
            value = self._at(side)
            known = {key: value[key] for key in ModelSpec.model_fields if key in value} if value else None
            network = _valid(StudentSpec if side == "student" else ModelSpec, known)
            source = lent_tokenizer(StudentSpec(**network)) if network is not None else None
            if source is not None:
                return source
        return None

    def _model_question(self, side: str) -> dict[str, Any] | None:
        value = self._at(side)
        data = self.data.known
        if not isinstance(value, dict) or data is None:
            return None
        try:
            model = StudentSpec if side == "student" else ModelSpec
            spec = validate(model, {key: value[key] for key in model.model_fields if key in value})
        except SpecError:
            return None
        return {
            "ask": "model",
            "root": str(self._root()),
            "side": side,
            "spec": spec.model_dump(mode="json"),
            "input_shape": data["input_shape"],
            "classes": data.get("outputs", len(data["classes"])),
            "files": self._stamps(spec),
            **self._text_question(spec, data),
        }

    def _text_question(self, spec: ModelSpec, data: dict[str, Any]) -> dict[str, Any]:
        """What a model for texts depends on beside its own settings."""
        found: dict[str, Any] = {"text": data["text"]["facts"]} if "text" in data else {}
        if spec.model == FROM_TEACHER:
            teacher = self._value.get("teacher")
            known = {key: teacher[key] for key in ModelSpec.model_fields if key in teacher} if teacher else None
            found["teacher"] = known
        return found

    def _stamps(self, spec: ModelSpec) -> list[Any]:
        """Times of the files that the model is made from: a question about changed files is another one."""
        names = [spec.model.split(":")[0] if ".py:" in spec.model else "", spec.weights or ""]
        found: list[Any] = [self._project.trusted if self._project is not None and names[0] else False]
        for name in names:
            try:
                found.append((self._root() / name).stat().st_mtime_ns if name else 0)
            except OSError:
                found.append(0)
        return found

    def _logits_question(self) -> dict[str, Any] | None:
        data = _valid(DataSpec, self._value.get("data"))
        teacher = _valid(TeacherSpec, self._value.get("teacher"))
        if not self.logits_wanted or data is None or teacher is None or self.teacher.known is None:
            return None
        return {
            "ask": "teacher-logits",
            "root": str(self._root()),
            "data": data,
            "teacher": teacher,
            "samples": SAMPLES,
            "download": data["source"] in self._may_download,
        }

    # -- answers -----------------------------------------------------------------------------------------------

    def _set(self, part: str, fact: Fact) -> None:
        self.parts[part] = fact
        self.changed.emit(part)

    def _answered(self, channel: str, answer: dict[str, Any]) -> None:
        if channel == "names":
            self.names = [f"{library}:{name}" for library, names in answer.items() for name in names]
            self.names_changed.emit()
            return
        if channel not in self.parts:
            return
        self._set(channel, Fact(FactState.KNOWN, answer, question=self.parts[channel].question))
        if channel == "data":
            self._ask_models()
        elif channel == "teacher":
            self._ask("logits", self._logits_question())

    def _failed(self, channel: str, error: KDStudioError) -> None:
        if channel == "names" or channel not in self.parts:
            return
        self._set(channel, Fact(FactState.FAILED, None, error, question=self.parts[channel].question))
        if channel == "data":
            self._ask_models()

    def _progressed(self, channel: str, label: str, done: int, total: int) -> None:
        if channel in self.parts and self.parts[channel].state is FactState.ASKING:
            self.parts[channel].progress = (label, done, total)
            self.changed.emit(channel)

    # -- what is wrong -----------------------------------------------------------------------------------------

    def problems(self) -> dict[str, list[str]]:
        """What the engine found wrong, by the path of the field that it belongs to."""
        found: dict[str, list[str]] = {}
        for part in ("data", "teacher", *self._assistant_parts(), "student"):
            error = self.parts.get(part, Fact()).error
            if error is None or (part == "data" and self.needs_download):
                continue
            text = ". ".join(words.strip().rstrip(".") for words in (error.what, error.why, error.fix) if words)
            found.setdefault(field_of_error(part, error, self._at(part) or {}), []).append(text)
        for path, text in (*self._pair_problems(), *self._class_problems()):
            found.setdefault(path, []).append(text)
        return found

    def _class_problems(self) -> list[tuple[str, str]]:
        """Two classes leave nothing beside the target, which a part of decoupled distillation is about."""
        data = self.data.known
        if data is None or len(data["classes"]) != 2:
            return []
        text = tr("With two classes nothing is left beside the target: set it to 0, or use soft targets.")
        return [
            (f"objective.{index}.beta", text)
            for index, term in enumerate(self._value.get("objective") or [])
            if isinstance(term, dict) and term.get("term") == "decoupled" and term.get("beta") != 0
        ]

    def _pair_problems(self) -> list[tuple[str, str]]:
        teacher, student = self.guide.known, self.student.known
        if teacher is None or student is None:
            return []
        shapes = {"teacher": shapes_of(teacher), "student": shapes_of(student)}
        found = []
        for index, term in enumerate(self._value.get("objective") or []):
            rule = JOIN_RULES.get(str(term.get("term"))) if isinstance(term, dict) else None
            if rule is None:
                continue
            pairs = term.get("pairs")
            for place, pair in enumerate(pairs if isinstance(pairs, list) else []):
                text = _pair_problem(pair, shapes, rule)
                if text:
                    found.append((f"objective.{index}.pairs.{place}", text))
        return found


def _pair_problem(pair: Any, shapes: dict[str, dict[str, tuple[int, ...]]], rule: JoinRule) -> str:
    if not isinstance(pair, dict):
        return ""
    for side in ("teacher", "student"):
        name = str(pair.get(side, ""))
        if name not in shapes[side]:
            near = suggestion(name, shapes[side])
            return tr(NO_LAYER[side], name=name, advice=near or tr("choose one in the list"))
    found = join(shapes["student"][pair["student"]], shapes["teacher"][pair["teacher"]], rule)
    return "" if found.possible else f"{found.text[:1].upper()}{found.text[1:]}."


def field_of_error(part: str, error: KDStudioError, value: dict[str, Any]) -> str:
    """The field that an error of the engine is about: one that it names, else the part's main one."""
    patterns = (r"\b(?:data|teacher|student)\.(\w+)", r"^(\w+)[:.]", r"^\w+: (\w+)[:.]")
    for text in (error.what, error.fix, error.why):
        for name in (word for pattern in patterns for word in re.findall(pattern, text)):
            if name in value:
                return f"{part}.{name}"
    main = ("path", "source") if part == "data" else ("model",)
    return next((f"{part}.{name}" for name in main if name in value), part)


@functools.cache
def _adapter(spec: Any) -> TypeAdapter[Any]:
    return TypeAdapter(spec)


def _valid(spec: Any, value: Any) -> dict[str, Any] | None:
    """The value in the spec's own form, None where it is wrong."""
    adapter = _adapter(spec)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")  # type: ignore[no-any-return]
    except ValidationError:
        return None
