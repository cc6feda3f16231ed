"""The methods that can be compared on one pair of networks: recipes for an objective, with their published weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kdstudio.project.pairing import modules_of, suggestions
from kdstudio.project.spec import JoinRule

Terms = list[dict[str, Any]]
Report = dict[str, Any]


@dataclass(frozen=True)
class Networks:
    """What recipes need to know of the two networks and the budget.

    Attributes:
        teacher, student: The reports of `kdstudio inspect`, with all their parts.
        epochs: Of the student's training.
        peer: The spec of a network like the student that starts afresh.
    """

    teacher: Report
    student: Report
    epochs: int
    peer: dict[str, Any]

    def pairs(self, rule: JoinRule, last: int = 0) -> Terms | None:
        """Pairs at the same stages; the last so many of them, 0 for all. None where there are none."""
        found = suggestions(self.teacher, self.student, rule)
        return [{"teacher": teacher, "student": student} for teacher, student in found[-last:]] or None

    def normalised(self) -> Terms | None:
        """The pairs of maps with the teacher's last batch normalisation of each stage in the stage's place."""
        parts, found = modules_of(self.teacher), []
        for pair in self.pairs("map-regressor") or []:
            shape = next(part["output_shape"] for part in parts if part["name"] == pair["teacher"])
            norms = [
                part["name"]
                for part in parts
                if part["name"].startswith(f"{pair['teacher']}.")
                and part["kind"].startswith("BatchNorm")
                and part["output_shape"] == shape
                and "downsample" not in part["name"]
            ]
            if norms:
                found.append({"teacher": norms[-1], "student": pair["student"]})
        return found or None

    def first(self, share: float) -> int:
        """The epoch at which a first stage ends, a share of the budget."""
        return max(1, round(share * self.epochs))


@dataclass(frozen=True)
class Method:
    """One way to pass knowledge.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in tables.
        family: `labels`, `outputs`, `features`, `relations` or `peers`.
        source: Where its weights come from.
        recipe: Its objective for two networks; None where no layers of theirs fit.
    """

    name: str
    title: str
    family: str
    source: str
    recipe: Callable[[Networks], Terms | None]


def _hard(weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"term": "hard", "weight": weight, **more}


def _soft(**more: Any) -> dict[str, Any]:
    return {"term": "soft", "weight": 0.9, "temperature": 4.0, **more}


def _output(weight: float, hard: float, **term: Any) -> Callable[[Networks], Terms | None]:
    return lambda networks: [_hard(hard), {"weight": weight, **term}]


def _pairs(rule: JoinRule, weight: float, last: int = 0, **term: Any) -> Callable[[Networks], Terms | None]:
    """Hard labels and one term on pairs."""

    def recipe(networks: Networks) -> Terms | None:
        pairs = networks.pairs(rule, last)
        return [_hard(), {"weight": weight, **term, "pairs": pairs}] if pairs else None

    return recipe


def _first_stage(rule: JoinRule, weight: float, share: float, **term: Any) -> Callable[[Networks], Terms | None]:
    """A term alone for a share of the epochs, then soft targets without it."""

    def recipe(networks: Networks) -> Terms | None:
        pairs, turn = networks.pairs(rule), networks.first(share)
        if not pairs or turn >= networks.epochs or (term["term"] == "flow" and len(pairs) < 2):
            return None
        if term["term"] == "hint":
            pairs = [pairs[(len(pairs) - 1) // 2]]
        first = {"weight": weight, **term, "pairs": pairs, "until_epoch": turn}
        return [_hard(0.1, from_epoch=turn), _soft(from_epoch=turn), first]

    return recipe


def _middle_hint(networks: Networks) -> Terms | None:
    pairs = networks.pairs("regressor")
    if not pairs:
        return None
    return [_hard(), {"term": "hint", "weight": 100.0, "pairs": [pairs[(len(pairs) - 1) // 2]]}]


def _relational(networks: Networks) -> Terms | None:
    pairs = networks.pairs("any", 1)
    if not pairs:
        return None
    return [
        _hard(),
        {"term": "distance", "weight": 25.0, "pairs": pairs},
        {"term": "angle", "weight": 50.0, "pairs": pairs},
    ]


def _factor(networks: Networks) -> Terms | None:
    pairs = networks.pairs("map-regressor", 1)
    epochs = min(30, networks.epochs)
    return (
        [_hard(), {"term": "factor", "weight": 200.0, "paraphraser_epochs": epochs, "pairs": pairs}] if pairs else None
    )


def _overhaul(networks: Networks) -> Terms | None:
    pairs = networks.normalised()
    return [_hard(), {"term": "overhaul", "weight": 0.001, "pairs": pairs}] if pairs else None


def _contrastive_soft(networks: Networks) -> Terms | None:
    pairs = networks.pairs("any", 1)
    if not pairs:
        return None
    return [_hard(1.0), _soft(weight=1.0), {"term": "contrastive", "weight": 0.8, "pairs": pairs}]


def _mutual(networks: Networks) -> Terms | None:
    # A seed that no comparison comes to: peers that start alike have nothing to tell each other
    return [_hard(), {"term": "mutual", "weight": 1.0, "peers": [{**networks.peer, "seed": 1_000_000}]}]


#: Methods that train further networks beside the student: they have more than the others' budget.
PEERS = "peers"
_BENCHMARK = "CIFAR-100 benchmark of CRD (1910.10699)"
METHODS = (
    Method("hard", "Hard labels", "labels", "no teacher", lambda networks: [_hard()]),
    Method("soft", "Soft targets", "outputs", _BENCHMARK, lambda networks: [_hard(0.1), _soft()]),
    Method(
        "reverse-kl", "Reverse KL", "outputs", "as soft targets", _output(0.9, 0.1, term="reverse-kl", temperature=4.0)
    ),
    Method(
        "jsd",
        "Generalised JSD",
        "outputs",
        "GKD (2306.13649)",
        _output(0.9, 0.1, term="jsd", beta=0.5, temperature=1.0),
    ),
    Method("decoupled", "Decoupled (DKD)", "outputs", "DKD (2203.08679)", _output(1.0, 1.0, term="decoupled")),
    Method("correlation", "Correlation (DIST)", "outputs", "DIST (2205.10536)", _output(2.0, 1.0, term="correlation")),
    Method("logits", "Logit matching", "outputs", "Ba and Caruana 2014", _output(1.0, 0.0, term="logits")),
    Method("hint", "Hints, joint (FitNets)", "features", _BENCHMARK, _middle_hint),
    Method(
        "hint-two-stage",
        "Hints, two stages (FitNets)",
        "features",
        "FitNets (1412.6550)",
        _first_stage("regressor", 1.0, 0.25, term="hint"),
    ),
    Method("attention", "Attention maps (AT)", "features", _BENCHMARK, _pairs("maps", 1000.0, term="attention")),
    Method(
        "selectivity",
        "Neuron selectivity (NST)",
        "features",
        _BENCHMARK,
        _pairs("maps", 50.0, last=1, term="selectivity"),
    ),
    Method(
        "context",
        "Hierarchical context",
        "features",
        "ReviewKD (2104.09044)",
        _pairs("map-regressor", 1.0, term="context"),
    ),
    Method("variational", "Variational (VID)", "features", _BENCHMARK, _pairs("regressor", 1.0, term="variational")),
    Method(
        "review",
        "Knowledge review (ReviewKD)",
        "features",
        "ReviewKD (2104.09044)",
        _pairs("map-regressor", 1.0, term="review"),
    ),
    Method("overhaul", "Overhauled features (OFD)", "features", "OFD (1904.01866)", _overhaul),
    Method("factor", "Factor transfer (FT)", "features", _BENCHMARK, _factor),
    Method(
        "boundary",
        "Activation boundaries (AB)",
        "features",
        "AB (1811.03233)",
        _first_stage("regressor", 0.001, 0.25, term="boundary"),
    ),
    Method(
        "flow",
        "Flow of the solution (FSP)",
        "features",
        "FSP (CVPR 2017)",
        _first_stage("channels", 50.0, 0.25, term="flow"),
    ),
    Method("rkd", "Relational (RKD)", "relations", "RKD (1904.05068)", _relational),
    Method(
        "similarity",
        "Similarity preserving (SP)",
        "relations",
        _BENCHMARK,
        _pairs("any", 3000.0, last=1, term="similarity"),
    ),
    Method(
        "probabilistic",
        "Probabilistic transfer (PKT)",
        "relations",
        _BENCHMARK,
        _pairs("any", 30000.0, last=1, term="probabilistic"),
    ),
    Method(
        "congruence",
        "Correlation congruence (CC)",
        "relations",
        _BENCHMARK,
        _pairs("width", 0.02, last=1, term="congruence"),
    ),
    Method("contrastive", "Contrastive (CRD)", "relations", _BENCHMARK, _pairs("any", 0.8, last=1, term="contrastive")),
    Method("contrastive-soft", "Contrastive and soft targets", "relations", _BENCHMARK, _contrastive_soft),
    Method("mutual", "Mutual learning (DML)", PEERS, "DML (1706.00384)", _mutual),
)
#: What `all` means.
ALL = tuple(method.name for method in METHODS if method.family != PEERS)
BY_NAME = {method.name: method for method in METHODS}
