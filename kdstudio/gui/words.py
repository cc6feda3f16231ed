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
#: Networks of which there may be several: in a sentence, as a stage that trains, and at the head of a column.
NUMBERED = {
    "teacher": (mark("teacher {number}"), mark("Training teacher {number}"), mark("Teacher {number}")),
    "assistant": (mark("assistant {number}"), mark("Training assistant {number}"), mark("Assistant {number}")),
}
#: The time that is left of a stage, where others still come.
THEN = {
    ("assistants", "student"): mark("{time}, then the assistants and the student"),
    ("assistants", "student", "baseline"): mark("{time}, then the assistants, the student and the baseline"),
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
    kind, number = numbered(state.stage)
    if status is RunStatus.TRAINING and number:
        words = NUMBERED[kind][1]
    elif status is RunStatus.TRAINING and state.stage:
        words = TRAINING.get(state.stage, mark("Training the {stage}"))
    return tr(words, step=state.step, stage=network_word(state.stage), number=number)


def numbered(name: str) -> tuple[str, int]:
    """The kind and the number of a network like `assistant-2`; 0 for every other."""
    kind, _, number = name.partition("-")
    return (kind, int(number)) if kind in NUMBERED and number.isdecimal() else (name, 0)


def network_title(name: str) -> str:
    """What a network of which there may be several is called at the head of a column."""
    kind, number = numbered(name)
    return tr(NUMBERED[kind][2], number=number)


def network_word(name: str) -> str:
    """What a network, and the stage in which it trains, is called; one that is not known keeps its name."""
    if name.endswith(FIRST_STAGE):
        term = name.removesuffix(FIRST_STAGE)
        whose, _, rest = term.partition("-")
        kind, number = numbered(f"{whose}-{rest.partition('-')[0]}")
        if number:
            network = tr(NUMBERED[kind][0], number=number)
            return tr("first stage of {term}, {network}", term=rest.partition("-")[2], network=network)
        return tr("first stage of {term}", term=term)
    kind, number = numbered(name)
    if number:
        return tr(NUMBERED[kind][0], number=number)
    return tr(NAMES[name]) if name in NAMES else name


def split_word(name: str) -> str:
    """What a split of the data is called."""
    return tr(NAMES[name]) if name in NAMES else name


def and_then(time: str, stage: str, baseline: bool, assistants: int = 0) -> str:
    """A time that is left of a stage, and the stages that come after it."""
    kind, number = numbered(stage)
    after = ["student", "baseline"]
    if kind == "student" or kind not in ("teacher", "assistant"):
        after = ["baseline"] if kind == "student" else after if stage.endswith(FIRST_STAGE) else []
    elif number < assistants if kind == "assistant" else assistants > 0:
        after = ["assistants", *after]
    coming = tuple(name for name in after if name != "baseline" or baseline)
    return tr(THEN[coming], time=time) if coming else time
