"""The sections of the Setup page in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdstudio.gui.language import mark
from kdstudio.gui.setup.chain_section import ChainSection
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.data_section import DataSection
from kdstudio.gui.setup.model_section import StudentSection, TeacherSection
from kdstudio.gui.setup.objective_section import ObjectiveSection
from kdstudio.gui.setup.plain_sections import TRACKING, GeneralSection, RecordingSection
from kdstudio.gui.setup.pool_section import PoolSection
from kdstudio.gui.setup.section import Section
from kdstudio.gui.setup.training_section import TrainingSection
from kdstudio.gui.setup.yaml_section import YamlSection


@dataclass(frozen=True)
class SectionSpec:
    """One section: its name, its title in the list, the first keys of its paths, and what builds it."""

    name: str
    title: str
    heads: tuple[str, ...]
    build: Callable[[Context], Section]


SECTIONS = (
    SectionSpec("general", mark("General"), ("name", "notes"), GeneralSection),
    SectionSpec("data", mark("Data"), ("data",), DataSection),
    SectionSpec("teacher", mark("Teacher"), ("teacher", "teachers"), TeacherSection),
    SectionSpec("assistants", mark("Assistants"), ("assistants", "guided", "guided_drop"), ChainSection),
    SectionSpec("student", mark("Student"), ("student",), StudentSection),
    SectionSpec("unlabelled", mark("Without labels"), ("unlabelled",), PoolSection),
    SectionSpec("objective", mark("Objective"), ("objective",), ObjectiveSection),
    SectionSpec("training", mark("Training"), ("train", "baseline", "cache", "written", "on_policy"), TrainingSection),
    SectionSpec("recording", mark("Recording"), ("monitor", "evaluate", *TRACKING), RecordingSection),
    SectionSpec("yaml", mark("YAML"), ("yaml",), YamlSection),
)


def section_of(path: str) -> SectionSpec:
    """The section that shows the field at a dotted path; what no other knows is in the first."""
    head = path.split(".")[0]
    return next((spec for spec in SECTIONS if head in spec.heads), SECTIONS[0])
