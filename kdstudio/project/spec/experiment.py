"""One experiment: what one YAML file says. And the project file beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from kdstudio.project.spec.base import Strict
from kdstudio.project.spec.cache import CacheSpec
from kdstudio.project.spec.chain import AssistantSpec, assistant_terms, assistant_train, check_epochs
from kdstudio.project.spec.data import Digits
from kdstudio.project.spec.language import OnPolicySpec, WrittenSpec, check_language
from kdstudio.project.spec.models import FROM_TEACHER, StudentSpec, TeacherSpec
from kdstudio.project.spec.network_terms import EnsembleTerm
from kdstudio.project.spec.objective import HardTerm, SoftTerm, Term, needs_teacher
from kdstudio.project.spec.pool import PoolSpec
from kdstudio.project.spec.sources import DataSpec
from kdstudio.project.spec.text_data import TextData
from kdstudio.project.spec.train import TrainSpec

SPEC_VERSION = 1


class MonitorSpec(Strict):
    """What is recorded for the panels while training goes on."""

    every_seconds: float = Field(2.0, ge=0.05, le=3600)
    """Seconds between two snapshots for the soft-target and alignment panels (less at the start, more in long runs)."""
    probes: int = Field(16, ge=1, le=256)
    """Validation samples whose pictures and outputs the soft-targets panel shows."""
    pool: int = Field(256, ge=2, le=4096)
    """Validation samples behind the dark-knowledge matrices and entropies."""
    alignment_samples: int = Field(64, ge=4, le=1024)
    """Validation samples behind the CKA curves and map (the cost grows with its square)."""
    max_layers: int = Field(16, ge=2, le=64)
    """Most layers per network in the layer-by-layer CKA map."""


class EvaluateSpec(Strict):
    """What is measured at the end."""

    test: bool = True
    """Score teacher, student and baseline on the test samples."""
    latency: bool = True
    """Measure latency and throughput."""
    latency_batch: int = Field(32, ge=1, le=8192)
    """Batch size of the throughput figure (latency itself is measured with one sample)."""
    repeats: int = Field(30, ge=3, le=10000)
    """Timed repetitions behind each median."""


def _default_objective() -> list[Term]:
    return [HardTerm(weight=0.1), SoftTerm(weight=0.9, temperature=4.0)]


class Experiment(Strict):
    """One experiment: data, teacher, student, objective, training."""

    version: Literal[1] = 1
    """Version of this file's format."""
    name: str = Field(min_length=1, max_length=80)
    """Name of the experiment: letters, digits, dots, dashes and underscores. Its runs lie in runs/NAME."""
    notes: str = ""
    """Anything you want to remember about it."""
    data: DataSpec = Field(default_factory=Digits)
    """The transfer set: what the student learns from."""
    teacher: TeacherSpec | None = None
    """The teacher (empty: the student learns from hard labels alone)."""
    teachers: list[TeacherSpec] = Field(default_factory=list, max_length=8)
    """Further teachers beside the first one, for the term `ensemble`."""
    assistants: list[AssistantSpec] = Field(default_factory=list, max_length=8)
    """Networks between teacher and student; each learns from what is before it (see `guided`), and teaches the next."""
    guided: Literal["last", "dense"] = "last"
    """Of a chain: last is each network by the one before it; dense is by the teacher and all assistants before it."""
    guided_drop: float = Field(0.0, ge=0, lt=1)
    """Chance of each of several networks before it not to teach in a step (with guided: dense)."""
    student: StudentSpec
    """The student."""
    unlabelled: PoolSpec | None = None
    """Samples without labels that the teacher labels for the student (empty: none)."""
    written: WrittenSpec | None = None
    """Text that the teacher of a language model writes for the student (empty: none)."""
    on_policy: OnPolicySpec | None = None
    """Steps in which the student of a language model learns from what it writes itself (empty: none)."""
    objective: list[Term] = Field(default_factory=_default_objective, min_length=1)
    """The terms whose weighted sum is minimised."""
    train: TrainSpec = Field(default_factory=TrainSpec)
    """How the student is trained."""
    cache: CacheSpec = Field(default_factory=CacheSpec)
    """What is kept of the teacher's answers."""
    baseline: bool = False
    """Also train the same student from hard labels alone, with the same budget, so the scorecard can compare."""
    monitor: MonitorSpec = Field(default_factory=MonitorSpec)
    """What the panels get."""
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec)
    """What the scorecard measures."""
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(default_factory=list)
    """Where the metrics go beside the run folder, each with a package of its own (empty: nowhere else)."""
    tracking_project: str = Field("", max_length=120)
    """What W&B's project and MLflow's experiment are called (empty: as the experiment)."""

    @field_validator("name")
    @classmethod
    def _file_name(cls, value: str) -> str:
        import re

        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            raise ValueError(f"{value!r} cannot name a folder; use letters, digits, dots, dashes and underscores")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        if self.teacher is None and needs_teacher(self.objective):
            terms = ", ".join(term.term for term in self.objective if term.asks_teacher)
            raise ValueError(
                f"the objective has terms that need a teacher ({terms}), and there is none; "
                "add 'teacher' or remove the terms"
            )
        if self.student.model == FROM_TEACHER and self.teacher is None:
            raise ValueError("the student is made of its teacher's layers, and there is no teacher; add 'teacher'")
        if isinstance(self.data, TextData):
            self.data.tokenizer_of(teacher=self.teacher, student=self.student)
        if self.cache.vocabulary == "samples" and any(getattr(term, "temperature", 1) != 1 for term in self.objective):
            raise ValueError(
                "cache.vocabulary: words drawn stand for the teacher at temperature 1 only, and a term has another; "
                "set its temperature to 1, or use top-k"
            )
        self._check_teachers()
        self._check_unlabelled()
        check_language(self)
        check_epochs(self.objective, self.train.epochs)
        self._check_assistants()
        return self

    def _check_assistants(self) -> None:
        if self.assistants and self.teacher is None:
            raise ValueError("there are assistants and no teacher to learn from; add 'teacher' or remove 'assistants'")
        for place, assistant in enumerate(self.assistants, 1):
            terms = assistant_terms(assistant, self.objective)
            if not terms:
                raise ValueError(
                    f"assistants.{place - 1} has no terms: the student has none on outputs that it could share; "
                    "give it an 'objective'"
                )
            where = f"assistants.{place - 1}"
            if not assistant.objective:
                where += " (it has the student's terms on outputs, and can have an 'objective' of its own)"
            check_epochs(terms, assistant_train(assistant, place, self.train).epochs, where)

        if self.assistants and self.guided == "dense" and self.teachers:
            raise ValueError(
                "guided: in a densely guided chain the assistants are the further teachers; remove 'teachers', or set "
                "guided to last"
            )

    def _check_unlabelled(self) -> None:
        if self.unlabelled is None:
            return
        if self.teacher is None:
            raise ValueError("there is a pool of samples without labels and no teacher to label it; add 'teacher'")
        if isinstance(self.data, TextData) and self.data.task != "classification":
            raise ValueError("a pool is for classification; a language model learns from text without labels as it is")
        if self.data.labelled is None and self.unlabelled.data is None and not self.unlabelled.noise:
            raise ValueError("the pool is empty; set data.labelled to the share with labels, or give unlabelled.data")
        if self.unlabelled.labels == "soft":
            if not needs_teacher(self.objective):
                raise ValueError(
                    "the pool has soft labels, and no term looks at the teacher; add one, or make them hard"
                )
            asking = [term.term for term in self.objective if term.asks_labels and not isinstance(term, HardTerm)]
            if asking:
                raise ValueError(f"the term '{asking[0]}' needs a label for each sample; set unlabelled.labels to hard")
        if self.unlabelled.rounds > 1 and self.student.model == FROM_TEACHER:
            raise ValueError("a student from its teacher's layers has no second round; set unlabelled.rounds to 1")

    @property
    def links_before(self) -> int:
        """How many networks stand between teacher and student: assistants, and students of earlier rounds."""
        return len(self.assistants) + (self.unlabelled.rounds - 1 if self.unlabelled is not None else 0)

    def _check_teachers(self) -> None:
        terms = [*self.objective, *(term for assistant in self.assistants for term in assistant.objective)]
        asking = [term for term in terms if isinstance(term, EnsembleTerm)]
        if asking and not self.teachers:
            raise ValueError("the term 'ensemble' needs further teachers; add 'teachers', or use the term 'soft'")
        if self.teachers and self.teacher is None:
            raise ValueError("there are further teachers and no first one; make the first of 'teachers' the 'teacher'")
        for term in asking:
            if term.weights is not None and len(term.weights) != len(self.teachers) + 1:
                raise ValueError(
                    f"the term 'ensemble' has {len(term.weights)} weights for {len(self.teachers) + 1} teachers; "
                    "give one for each, the first teacher's first"
                )


class ProjectFile(Strict):
    """What `project.yaml` says."""

    version: Literal[1] = 1
    """Version of this file's format."""
    name: str = Field("Untitled", min_length=1, max_length=120)
    """Title of the project."""
    notes: str = ""
    """Anything you want to remember about it."""
    default: str | None = None
    """Name of the experiment that opens first and that `kdstudio run FOLDER` runs."""
