"""Specs: what the user describes, as pydantic models. The descriptions become the form, the tooltips and the docs."""

from kdstudio.project.spec.base import Strict, problems_of, suggestion, validate
from kdstudio.project.spec.data import DataBase, DataSpec, Digits, ImageFolder, KnownImages, NumpyFile
from kdstudio.project.spec.experiment import SPEC_VERSION, EvaluateSpec, Experiment, MonitorSpec, ProjectFile
from kdstudio.project.spec.models import KNOWN, ModelSpec, StudentSpec, TeacherSpec
from kdstudio.project.spec.objective import (
    HardTerm,
    HintTerm,
    LayerPair,
    SoftTerm,
    Term,
    TermBase,
    WeightSchedule,
    needs_labels,
    needs_teacher,
)
from kdstudio.project.spec.train import TrainSpec

__all__ = [
    "KNOWN",
    "SPEC_VERSION",
    "DataBase",
    "DataSpec",
    "Digits",
    "EvaluateSpec",
    "Experiment",
    "HardTerm",
    "HintTerm",
    "ImageFolder",
    "KnownImages",
    "LayerPair",
    "ModelSpec",
    "MonitorSpec",
    "NumpyFile",
    "ProjectFile",
    "SoftTerm",
    "Strict",
    "StudentSpec",
    "TeacherSpec",
    "Term",
    "TermBase",
    "TrainSpec",
    "WeightSchedule",
    "needs_labels",
    "needs_teacher",
    "problems_of",
    "suggestion",
    "validate",
]
