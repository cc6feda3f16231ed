"""The teacher cache: what a teacher says of each view of each sample, asked for once and kept in the project."""

from kdstudio.engine.cache.plan import PlannedTeacher, TeacherCache
from kdstudio.engine.cache.teacher import AskingStopped, CachedTeacher

__all__ = ["AskingStopped", "CachedTeacher", "PlannedTeacher", "TeacherCache"]
