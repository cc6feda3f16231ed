"""Chains: the student at their end and the assistants before it, each a link of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kdstudio.project.errors import ModelError
from kdstudio.project.spec import Experiment, ModelSpec, StudentSpec, TeacherSpec, assistant_terms, assistant_train

logger = logging.getLogger("kdstudio")

#: Terms that compare the samples of a batch with each other.
WITHIN_BATCH = ("distance", "angle", "similarity", "probabilistic", "congruence", "correlation")


@dataclass(frozen=True)
class Link:
    """One distillation of a chain.

    Attributes:
        stage: `assistant-1`, `assistant-2`... and `student`.
        dense: Whether further networks before it teach it, too.
        place: Where it stands in the spec: `assistants.0`, or `student`.
        own_terms, own_train: Whether its terms, and its training, stand in its own place of the spec.
        experiment: The chain cut down to it: its network is the student, and the network before it the teacher.
    """

    stage: str
    place: str
    own_terms: bool
    own_train: bool
    experiment: Experiment
    dense: bool = False

    @property
    def train_place(self) -> str:
        """Where the spec says how it is trained."""
        return "train" if self.stage == "student" or not self.own_train else f"{self.place}.train"

    @contextmanager
    def telling_place(self) -> Iterator[None]:
        """While it is built and checked: names it where messages would name the student."""
        try:
            yield
        except ModelError as error:
            what = error.what
            if self.stage == "student" or what.startswith("teacher"):
                raise
            if what.startswith("objective.") and self.own_terms:
                what = f"{self.place}.{what}"
            elif what.startswith("student"):
                what = self.place + what.removeprefix("student")
            else:
                what = f"{self.place}: {what}"
            raise ModelError(what, error.why, error.fix, kind=error.kind) from None


def links_of(experiment: Experiment) -> list[Link]:
    """Chains: the student learns from an assistant, and the assistant from the teacher.

    Equation:
        teacher -> assistant 1 -> ... -> student, each with the network before it as its teacher: L_k = sum_i w_i
        L_i(network k, network k-1). With `guided: dense` a term on outputs is the mean over all networks before it,
        L_i(network k) = 1/k sum_{j<k} L_i(network k, network j) with the teacher as network 0. The paper has the sum
        over j of (1 - lambda) cross-entropy + lambda soft targets: k times as much

    When it helps:
        Where the teacher is far larger than the student: a network of a size between the two learns more from the
        teacher, and the student more from it. Try it when the student stays far from its teacher also on training
        samples. `guided: dense` where a chain loses on its way: what an assistant got wrong the networks before it put
        right.

    Usual weights:
        One assistant, of about the geometric mean of the two sizes; an assistant has the student's terms on outputs and
        its budget. More assistants help less and less. `guided_drop` 0; above it regularises, as dropout does.

    Traps:
        Every link costs a training, so compare with direct distillation of the same total budget, or with a teacher of
        the assistant's size. Errors add up along the chain. The student's layer pairs name layers of the last
        assistant; an assistant with layer pairs needs an `objective` of its own. While a link is trained, agreement and
        soft targets are those of the network before it; the scorecard holds all networks against the teacher. Densely
        guided, each step asks all networks before it, and terms on layers still look at the last one alone.

    Paper:
        Mirzadeh et al. 2020, Improved Knowledge Distillation via Teacher Assistant (TAKD, 1902.03393); dense guidance
        is that of Son et al. 2021, Densely Guided Knowledge Distillation using Multiple Teacher Assistants (DGKD,
        2009.08825), and so is `guided_drop`, which leaves out teachers of a step at random.

    Returns:
        The assistants and the student in the order in which they learn.
    """
    found: list[Link] = []
    teacher = experiment.teacher
    for place, assistant in enumerate(experiment.assistants, 1):
        network = assistant.model_dump(include=set(StudentSpec.model_fields))
        changed = {
            "teacher": teacher,
            "assistants": [],
            "student": StudentSpec(**network),
            "objective": assistant_terms(assistant, experiment.objective),
            "train": assistant_train(assistant, place, experiment.train),
            "baseline": False,
        }
        link = experiment.model_copy(update=changed)
        own = bool(assistant.objective), assistant.train is not None
        found.append(Link(f"assistant-{place}", f"assistants.{place - 1}", *own, link))
        teacher = TeacherSpec(**network)
    for place in range(len(experiment.assistants) + 1, experiment.links_before + 1):  # earlier rounds of self-training
        # not the same start each time, or a round could only repeat the one before
        train = experiment.train.model_copy(update={"seed": (experiment.train.seed + place) % 2**31})
        link = experiment.model_copy(update={"teacher": teacher, "assistants": [], "train": train, "baseline": False})
        found.append(Link(f"assistant-{place}", "student", True, False, link))
        teacher = TeacherSpec(**experiment.student.model_dump(include=set(ModelSpec.model_fields)))
    found.append(Link("student", "student", True, True, experiment.model_copy(update={"teacher": teacher})))
    dense = experiment.guided == "dense" and bool(experiment.assistants)
    return [replace(link, dense=dense and place > 0) for place, link in enumerate(found)]


def warn_of_slices(links: Sequence[Link], ranks: int) -> None:
    """Warns of terms that compare the samples of a batch: of several ranks each has a slice of it."""
    terms = [term.term for link in links for term in link.experiment.objective]
    names = ", ".join(dict.fromkeys(name for name in terms if name in WITHIN_BATCH))
    if names:
        logger.warning("%s: relations are those within a rank's slice, 1/%d of the batch", names, ranks)
