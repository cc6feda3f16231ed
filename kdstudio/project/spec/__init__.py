"""Specs: what the user describes, as pydantic models. The descriptions become the form, the tooltips and the docs."""

from kdstudio.project.spec.base import Strict, problems_of, suggestion, validate
from kdstudio.project.spec.cache import CacheSpec
from kdstudio.project.spec.chain import AssistantSpec, assistant_terms, assistant_train
from kdstudio.project.spec.data import (
    DataBase,
    Digits,
    ImageFolder,
    KnownImages,
    NumpyFile,
    PixelData,
    SplitData,
    ViewedData,
)
from kdstudio.project.spec.experiment import SPEC_VERSION, EvaluateSpec, Experiment, MonitorSpec, ProjectFile
from kdstudio.project.spec.feature_terms import (
    AttentionTerm,
    ContextTerm,
    CosineTerm,
    FlowTerm,
    HintTerm,
    SelectivityTerm,
)
from kdstudio.project.spec.joining import JoinRule, fits
from kdstudio.project.spec.models import (
    AS_RUN,
    FROM_TEACHER,
    HUB_PREFIX,
    KNOWN,
    LayersSpec,
    ModelSpec,
    StudentSpec,
    TeacherSpec,
)
from kdstudio.project.spec.network_terms import EnsembleTerm, MutualTerm, PeerSpec
from kdstudio.project.spec.objective import JOIN_RULES, Term, needs_labels, needs_teacher, numbered, term_names
from kdstudio.project.spec.output_terms import (
    CorrelationTerm,
    DecoupledTerm,
    HardTerm,
    JSDTerm,
    LogitTerm,
    ReverseKLTerm,
    SoftTerm,
)
from kdstudio.project.spec.pool import PoolSpec
from kdstudio.project.spec.relation_terms import (
    AngleTerm,
    CongruenceTerm,
    DistanceTerm,
    ProbabilisticTerm,
    SimilarityTerm,
)
from kdstudio.project.spec.sources import DataSpec
from kdstudio.project.spec.terms import LayerPair, PairTerm, TermBase, WeightSchedule
from kdstudio.project.spec.text_data import HubText, LanguageTask, TaggedText, TextCorpus, TextData, TextTable
from kdstudio.project.spec.text_terms import AttentionRelationTerm, AttentionScoreTerm, PatientTerm
from kdstudio.project.spec.train import TrainSpec
from kdstudio.project.spec.trained_terms import (
    BoundaryTerm,
    ContrastiveTerm,
    FactorTerm,
    OverhaulTerm,
    ReviewTerm,
    VariationalTerm,
)

__all__ = [
    "AS_RUN",
    "FROM_TEACHER",
    "HUB_PREFIX",
    "JOIN_RULES",
    "KNOWN",
    "SPEC_VERSION",
    "AngleTerm",
    "AssistantSpec",
    "AttentionRelationTerm",
    "AttentionScoreTerm",
    "AttentionTerm",
    "BoundaryTerm",
    "CacheSpec",
    "CongruenceTerm",
    "ContextTerm",
    "ContrastiveTerm",
    "CorrelationTerm",
    "CosineTerm",
    "DataBase",
    "DataSpec",
    "DecoupledTerm",
    "Digits",
    "DistanceTerm",
    "EnsembleTerm",
    "EvaluateSpec",
    "Experiment",
    "FactorTerm",
    "FlowTerm",
    "HardTerm",
    "HintTerm",
    "HubText",
    "ImageFolder",
    "JSDTerm",
    "JoinRule",
    "KnownImages",
    "LanguageTask",
    "LayerPair",
    "LayersSpec",
    "LogitTerm",
    "ModelSpec",
    "MonitorSpec",
    "MutualTerm",
    "NumpyFile",
    "OverhaulTerm",
    "PairTerm",
    "PatientTerm",
    "PeerSpec",
    "PixelData",
    "PoolSpec",
    "ProbabilisticTerm",
    "ProjectFile",
    "ReverseKLTerm",
    "ReviewTerm",
    "SelectivityTerm",
    "SimilarityTerm",
    "SoftTerm",
    "SplitData",
    "Strict",
    "StudentSpec",
    "TaggedText",
    "TeacherSpec",
    "Term",
    "TermBase",
    "TextCorpus",
    "TextData",
    "TextTable",
    "TrainSpec",
    "VariationalTerm",
    "ViewedData",
    "WeightSchedule",
    "assistant_terms",
    "assistant_train",
    "fits",
    "needs_labels",
    "needs_teacher",
    "numbered",
    "problems_of",
    "suggestion",
    "term_names",
    "validate",
]
