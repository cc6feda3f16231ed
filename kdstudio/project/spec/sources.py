"""The sources of data as one choice."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kdstudio.project.spec.data import Digits, ImageFolder, KnownImages, NumpyFile
from kdstudio.project.spec.text_data import HubText, TaggedText, TextCorpus, TextTable

DataSpec = Annotated[
    Digits | KnownImages | ImageFolder | NumpyFile | TextTable | TaggedText | TextCorpus | HubText,
    Field(discriminator="source"),
]
