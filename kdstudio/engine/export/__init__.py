"""Export: the student in a form that others load, checked in a fresh process before it counts as done."""

from kdstudio.engine.export.exporter import FORMATS, ExportResult, check_artifact, export_student

__all__ = ["FORMATS", "ExportResult", "check_artifact", "export_student"]
