"""The scorecard on the screen: three headline figures, and teacher, student and baseline side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.words import network_title, numbered, split_word

NETWORKS = {"teacher": mark("Teacher"), "student": mark("Student"), "baseline": mark("Student alone")}
Row = tuple[str, str, Callable[[dict[str, Any], str], str]]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _spread(figure: dict[str, float], unit: str) -> str:
    low, high = figure["median"] - figure["low"], figure["high"] - figure["median"]
    return f"{amount(figure['median'])}{unit} ± {100 * max(low, high) / figure['median']:.0f} %"


def amount(number: float) -> str:
    """1,234,000 as `1.23 M`."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


#: Group, label, and how the cell is made of a network's entry and the split; a missing figure is a dash.
ROWS: tuple[Row, ...] = (
    (mark("Quality"), mark("Perplexity"), lambda n, s: f"{n[s]['perplexity']:.2f}"),
    (mark("Quality"), mark("F1 score"), lambda n, s: _percent(n[s]["f1"])),
    (mark("Quality"), mark("Precision"), lambda n, s: _percent(n[s]["precision"])),
    (mark("Quality"), mark("Recall"), lambda n, s: _percent(n[s]["recall"])),
    (mark("Quality"), mark("Accuracy"), lambda n, s: _percent(n[s]["accuracy"])),
    (mark("Quality"), mark("Right class among the first five"), lambda n, s: _percent(n[s]["top5"])),
    (mark("Quality"), mark("Negative log-likelihood"), lambda n, s: f"{n[s]['nll']:.4f} nats"),
    (mark("Fidelity"), mark("Agrees with the teacher"), lambda n, s: _percent(n[s]["fidelity"]["agreement"])),
    (mark("Fidelity"), mark("KL to the teacher"), lambda n, s: f"{n[s]['fidelity']['kl']:.4f} nats"),
    (mark("Fidelity"), mark("Taken as its draft (1 - TVD)"), lambda n, s: _percent(n[s]["fidelity"]["acceptance"])),
    (mark("Calibration"), mark("Expected calibration error"), lambda n, s: _percent(n[s]["ece"])),
    (mark("Size"), mark("Parameters"), lambda n, s: f"{n['parameters']:,}"),
    (mark("Size"), mark("File"), lambda n, s: f"{n['file_bytes'] / 1e6:.3f} MB"),
    (mark("Speed"), mark("FLOPs a sample"), lambda n, s: amount(n["flops"])),
    (mark("Speed"), mark("Latency, one sample"), lambda n, s: _spread(n["speed"]["latency_ms"], " ms")),
    (mark("Speed"), mark("Samples a second, in batches"), lambda n, s: _spread(n["speed"]["throughput"], "/s")),
    (mark("Speed"), mark("Latency on the processor"), lambda n, s: _spread(n["speed_cpu"]["latency_ms"], " ms")),
    (mark("Speed"), mark("In batches on the processor"), lambda n, s: _spread(n["speed_cpu"]["throughput"], "/s")),
    (mark("Speed"), mark("Samples in a batch"), lambda n, s: f"{n['speed']['batch']:,}"),
)
SCORES = {"accuracy": mark("accuracy"), "perplexity": mark("perplexity"), "f1": mark("F1 score")}
KEPT = {
    "accuracy": mark("of the teacher's accuracy kept"),
    "perplexity": mark("of the teacher's perplexity kept"),
    "f1": mark("of the teacher's F1 score kept"),
}
ONE_SEED = mark("One seed is one sample; compare several.")
HINTS = mark("What often helps: a lower temperature, a teacher that is trained longer, more epochs for the student.")
#: Kinds of tags that have a row of their own.
MOST_TAGS = 40
SPREAD_TIP = mark("Median; ± is the larger distance to a quartile")


def scorecard_rows(scorecard: dict[str, Any]) -> list[list[str]]:
    """The scorecard as rows of text: a heading, then group, label and a cell for each network."""
    networks, split = scorecard["networks"], scorecard["reported_split"]
    shown = network_order(networks)
    rows = [["", tr("On {split} samples", split=split_word(split)), *map(_title, shown)]]
    for group, label, pick in ROWS:
        cells = []
        for name in shown:
            try:
                cells.append(pick(networks[name], split))
            except (KeyError, TypeError):
                cells.append("–")
        if any(cell != "–" for cell in cells):
            rows.append([tr(group), tr(label), *cells])
    return rows + tag_rows(scorecard)


def tag_rows(scorecard: dict[str, Any]) -> list[list[str]]:
    """Of networks that tag words, a row for each kind of span, or for each tag where there are no spans."""
    networks, split = scorecard["networks"], scorecard["reported_split"]
    by_network = [networks[name][split].get("per_tag") or {} for name in network_order(networks)]
    kinds = sorted(set().union(*by_network))[:MOST_TAGS]

    def cell(found: dict[str, Any] | None) -> str:
        if found is None:
            return "–"
        return " · ".join(f"{100 * found[key]:.1f}" for key in ("f1", "precision", "recall")) + " %"

    title = tr("F1 · precision · recall")
    return [
        [title if not place else "", kind, *(cell(each.get(kind)) for each in by_network)]
        for place, kind in enumerate(kinds)
    ]


def network_order(networks: dict[str, Any]) -> list[str]:
    """The networks of a scorecard as they learned: teachers, assistants, the student, and the student alone."""
    further = [name for name in networks if numbered(name)[1]]
    return [name for name in ("teacher", *further, "student", "baseline") if name in networks]


def _title(name: str) -> str:
    return tr(NETWORKS[name]) if name in NETWORKS else network_title(name)


def chain_rows(scorecard: dict[str, Any]) -> list[list[str]]:
    """The chain as rows of text: its networks, then the score at each link on each split; none without one."""
    links, networks = scorecard.get("chain") or [], scorecard["networks"]
    if not links:
        return []
    rows = [["", *map(_title, links)], [tr("Network"), *(str(networks[name]["model"]) for name in links)]]
    for split in ("validation", "test"):
        if split in networks["student"]:
            label = tr("Accuracy on {split} samples", split=split_word(split))
            if scorecard.get("metric") == "f1":
                label = tr("F1 score on {split} samples", split=split_word(split))
            elif is_language(scorecard):
                label = tr("Perplexity on {split} samples", split=split_word(split))
            rows.append([label, *(_score(networks[name][split]) for name in links)])
    return [*rows, [tr("Parameters"), *(f"{networks[name]['parameters']:,}" for name in links)]]


def headline_figures(scorecard: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(figure, what it is, what stands behind it) of the three that people quote, or fewer without a teacher."""
    head, networks = scorecard["headline"], scorecard["networks"]
    found = []
    student, teacher = networks["student"], networks.get("teacher")
    if head.get("smaller_by") is not None and teacher:
        before, after = teacher["parameters"], student["parameters"]
        text = tr("{before:,} → {after:,} parameters", before=before, after=after)
        smaller = head["smaller_by"]
        found.append((f"{100 * abs(smaller):.1f} %", tr("smaller") if smaller >= 0 else tr("larger"), text))
    if head.get("faster_by") is not None and teacher:
        rates = [entry["speed"]["throughput"]["median"] for entry in (student, teacher)]
        times, device = rates[0] / rates[1], scorecard["environment"]["device"].replace("cpu", "CPU")
        text = tr("{times:.2f} × the samples a second, on {device}", times=times, device=device)
        faster = head["faster_by"]
        found.append((f"{100 * abs(faster):.1f} %", tr("less time") if faster >= 0 else tr("more time"), text))
    language = is_language(scorecard)
    if head.get("keeps") is not None:
        what = tr(KEPT[scorecard.get("metric", "accuracy")])
        found.append((f"{100 * head['keeps']:.1f} %", what, _kept(scorecard)))
    if not found:
        text = tr("on {split} samples", split=split_word(scorecard["reported_split"]))
        figure = f"{head['score']:.2f}" if language else f"{100 * head['score']:.2f} %"
        found.append((figure, tr(SCORES[scorecard.get("metric", "accuracy")]), text))
    return found


def is_language(scorecard: dict[str, Any]) -> bool:
    """Whether the networks are language models, whose quality is a perplexity."""
    return scorecard.get("metric") == "perplexity"


def _score(figures: dict[str, Any]) -> str:
    """The quality of a network on a split."""
    return (
        f"{figures['perplexity']:.2f}" if "perplexity" in figures else _percent(figures.get("f1", figures["accuracy"]))
    )


def _kept(scorecard: dict[str, Any]) -> str:
    split = scorecard["reported_split"]
    networks = scorecard["networks"]
    text = f"{_score(networks['teacher'][split])} → {_score(networks['student'][split])}"
    gain = scorecard["headline"].get("gain")
    if gain is None:
        return text
    if is_language(scorecard):
        words = mark("{change}; {less:.2f} less than the student alone")
        if gain < 0:
            words = mark("{change}; {less:.2f} more than the student alone")
        return tr(words, change=text, less=abs(gain))
    points = f"{100 * gain:+.2f}".replace("-", "−")
    return tr("{change}; {gain} points against the student alone", change=text, gain=points)


def verdict(scorecard: dict[str, Any]) -> tuple[bool, str] | None:
    """Whether distillation helped, and that in words; None if the student was not trained alone, too."""
    gain = scorecard["headline"].get("gain")
    if gain is None:
        return None
    if gain > 0:
        text = tr(
            "Distillation helped in this run: the same student reached {gain:.2f} points less from hard labels alone.",
            gain=100 * gain,
        )
        if is_language(scorecard):
            text = tr(
                "Distillation helped in this run: from the text alone the perplexity is {gain:.2f} more.", gain=gain
            )
        return True, f"{text} {tr(ONE_SEED)}"
    if gain < 0 and is_language(scorecard):
        text = tr(
            "Distillation did not help in this run: from the text alone the perplexity is {gain:.2f} less.", gain=-gain
        )
    elif gain < 0:
        text = tr("Distillation did not help in this run: the same student reached more from hard labels alone.")
    else:
        text = tr("Distillation did not help in this run: the same student reached as much from hard labels alone.")
    return False, f"{text} {tr(ONE_SEED)}\n{tr(HINTS)}"


class ScorecardView(QWidget):
    """Headline, what it means, and table."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(12)
        self._inner: QWidget | None = None
        self.verdict: QLabel | None = None

    def show_scorecard(self, scorecard: dict[str, Any]) -> None:
        """Builds the view anew."""
        if self._inner is not None:
            self._layout.removeWidget(self._inner)
            self._inner.deleteLater()
            self.verdict = None
        self._inner = QWidget()
        column = QVBoxLayout(self._inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        row = QHBoxLayout()
        row.setSpacing(12)
        for figure, what, behind in headline_figures(scorecard):
            row.addWidget(self._figure(figure, what, behind), 1)
        column.addLayout(row)
        found = verdict(scorecard)
        if found is not None:
            helped, text = found
            self.verdict = QLabel(text)
            self.verdict.setObjectName("good" if helped else "error")
            self.verdict.setWordWrap(True)
            column.addWidget(self.verdict)
        if scorecard.get("chain"):
            column.addWidget(self._chain(scorecard))
        column.addWidget(self._table(scorecard))
        self._layout.addWidget(self._inner)

    @staticmethod
    def _figure(figure: str, what: str, behind: str) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        card.setAccessibleName(f"{figure} {what}, {behind}")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(2)
        for text, name in ((figure, "figure"), (what, "heading"), (behind, "soft")):
            label = QLabel(text)
            label.setObjectName(name)
            label.setWordWrap(name == "soft")
            layout.addWidget(label)
        layout.addStretch()
        return card

    @staticmethod
    def _chain(scorecard: dict[str, Any]) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        grid = QGridLayout(card)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        for place, (label, *cells) in enumerate(chain_rows(scorecard)):
            head = QLabel(label or tr("Chain"))
            head.setObjectName("soft" if label else "heading")
            grid.addWidget(head, place, 0)
            for column, text in enumerate(cells):
                cell = QLabel(text)
                cell.setObjectName("heading" if place == 0 else "")
                cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                grid.addWidget(cell, place, 2 * column + 1, Qt.AlignmentFlag.AlignRight)
                if place == 0 and column:
                    arrow = QLabel("→")
                    arrow.setObjectName("soft")
                    grid.addWidget(arrow, place, 2 * column, Qt.AlignmentFlag.AlignRight)
        grid.setColumnStretch(0, 1)
        card.setAccessibleName(tr("Chain"))
        return card

    @staticmethod
    def _table(scorecard: dict[str, Any]) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        grid = QGridLayout(card)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(28)
        grid.setVerticalSpacing(6)
        before = ""
        for place, (group, label, *cells) in enumerate(scorecard_rows(scorecard)):
            for column, text in enumerate((group if group != before else "", label, *cells)):
                cell = QLabel(text)
                cell.setObjectName("heading" if place == 0 or column == 0 else "soft" if column == 1 else "")
                cell.setToolTip(tr(SPREAD_TIP) if "±" in text else "")
                cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                side = Qt.AlignmentFlag.AlignLeft if column < 2 else Qt.AlignmentFlag.AlignRight
                grid.addWidget(cell, place, column, side)
            before = group
        grid.setColumnStretch(1, 1)
        return card
