"""What statuses, networks and splits are called in the window. Files and the command line keep their English names."""

from __future__ import annotations

from kdstudio.gui.language import mark, tr
from kdstudio.project.runs.state import FIRST_STAGE, RunState, RunStatus

WORDS = {
    RunStatus.CREATED: mark("Not started"),
    RunStatus.STARTING: mark("Starting"),
    RunStatus.TRAINING: mark("Training"),
    RunStatus.HOLDING: mark("On hold at step {step}"),
    RunStatus.EVALUATING: mark("Evaluating"),
    RunStatus.FINISHED: mark("Finished"),
    RunStatus.STOPPED: mark("Stopped at step {step}"),
    RunStatus.PARKED: mark("Parked at step {step}"),
    RunStatus.FAILED: mark("Failed"),
    RunStatus.INTERRUPTED: mark("Interrupted at step {step}"),
}
#: A stage is a network that trains; each has a sentence of its own, because its noun is bent in other languages.
TRAINING = {
    "teacher": mark("Training the teacher"),
    "student": mark("Training the student"),
    "baseline": mark("Training the baseline"),
}
#: The time that is left of a stage, where others still come.
THEN = {
    ("student",): mark("{time}, then the student"),
    ("baseline",): mark("{time}, then the baseline"),
    ("student", "baseline"): mark("{time}, then the student and the baseline"),
}
NAMES = {
    "teacher": mark("teacher"),
    "student": mark("student"),
    "baseline": mark("baseline"),
    "validation": mark("validation"),
    "test": mark("test"),
    "probe samples": mark("probe samples"),
}


def status_words(status: RunStatus, state: RunState) -> str:
    """The status in words, with the step where one stopped; `RunStatus.text` says the same in English."""
    words = WORDS[status]
    if status is RunStatus.TRAINING and state.stage:
        words = TRAINING.get(state.stage, mark("Training the {stage}"))
    return tr(words, step=state.step, stage=network_word(state.stage))


def network_word(name: str) -> str:
    """What a network, and the stage in which it trains, is called; one that is not known keeps its name."""
    if name.endswith(FIRST_STAGE):
        return tr("first stage of {term}", term=name.removesuffix(FIRST_STAGE))
    return tr(NAMES[name]) if name in NAMES else name


def split_word(name: str) -> str:
    """What a split of the data is called."""
    return tr(NAMES[name]) if name in NAMES else name


def and_then(time: str, stage: str, baseline: bool) -> str:
    """A time that is left of a stage, and the stages that come after it."""
    before = ["student", "baseline"]
    after = {"teacher": before, "student": ["baseline"]}.get(stage, before if stage.endswith(FIRST_STAGE) else [])
    coming = tuple(name for name in after if name != "baseline" or baseline)
    return tr(THEN[coming], time=time) if coming else time
