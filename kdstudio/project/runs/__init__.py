"""Run folders: the protocol between the engine, which writes them, and everyone who reads them."""

from kdstudio.project.runs.folder import RunFolder
from kdstudio.project.runs.state import RunState, RunStatus

__all__ = ["RunFolder", "RunState", "RunStatus"]
