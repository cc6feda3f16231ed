"""Export: the student in a form that others load, checked in a fresh process before it counts as done."""

from kdstudio.engine.export.check import check_artifact, check_or_raise
from kdstudio.engine.export.exporter import ExportResult, export_student, require_format
from kdstudio.engine.export.formats import FORMATS

__all__ = [
    "FORMATS",
    "ExportResult",
    "check_artifact",
    "check_or_raise",
    "export_student",
    "require_format",
]
