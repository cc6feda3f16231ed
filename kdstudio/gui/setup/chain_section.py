"""The Assistants section: networks between teacher and student, and the chain that they make."""

from __future__ import annotations

import functools
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import tr
from kdstudio.gui.setup.bars import IconButton
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.fact_status import FactStatus
from kdstudio.gui.setup.fields import FieldBox, FieldGrid
from kdstudio.gui.setup.form import ModelForm
from kdstudio.gui.setup.schema import complete, fields_of
from kdstudio.gui.setup.section import Card, Section
from kdstudio.gui.setup.words import amount, label_of, times
from kdstudio.gui.words import network_title
from kdstudio.project.assistants import between
from kdstudio.project.spec import AssistantSpec, Experiment

#: Fields of the experiment that say who teaches whom in a chain.
WAY = ("guided", "guided_drop")


class ChainSection(Section):
    """The assistants in their order; each learns from the network before it."""

    def __init__(self, context: Context) -> None:
        sentence = tr("Networks between teacher and student. Each learns from what is before it and teaches the next.")
        super().__init__(context, tr("Assistants"), sentence, ("assistants", *WAY))
        self.cards: list[AssistantCard] = []
        self.hint = Card(tr("When one is worth a try"))
        words = QLabel(
            tr(
                "A student that is far smaller than its teacher often learns more from a network of a size between "
                "the two (TAKD). Where the gap is small the way through an assistant only costs time. Without terms "
                "of its own an assistant has the student's terms on outputs. A longer chain loses less on its way "
                "where all networks teach those after them (DGKD)."
            )
        )
        words.setObjectName("soft")
        words.setWordWrap(True)
        self.hint.body.addWidget(words)
        self._holder = QWidget()
        self._list = QVBoxLayout(self._holder)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(12)
        self.add = QPushButton(tr("Add an assistant"))
        self.add.setToolTip(tr("Of a size between the network before it and the student"))
        self.add.clicked.connect(self._add)
        row = QHBoxLayout()
        row.addWidget(self.add)
        row.addStretch(1)
        self._list.addLayout(row)
        schemas = [schema for schema in fields_of(Experiment) if schema.name in WAY]
        self.fields = [FieldBox(context, schema.name, schema, Experiment.__name__) for schema in schemas]
        self.costs = ChainCard(context)
        self.columns.add(self._holder)
        self.way = Card(tr("The way of teaching"))
        self.way_grid = FieldGrid(self.fields)
        self.way.body.addWidget(self.way_grid)
        self.columns.add(self.way)
        self.columns.add(self.costs, side=True)
        self.columns.add(self.hint, side=True)

    # -- edits -------------------------------------------------------------------------------------------------

    def _assistants(self) -> list[Any]:
        found = self.context.document.get("assistants")
        return found if isinstance(found, list) else []

    def _add(self) -> None:
        had = self._assistants()
        ends = (had[-1] if had else self.context.document.get("teacher"), self.context.document.get("student"))
        before, after = (end if isinstance(end, dict) else {} for end in ends)
        new = complete(AssistantSpec, between(before, after))
        self.context.document.edit(tr("Add an assistant"), {"assistants": [*had, new]})

    def _move(self, index: int, by: int) -> None:
        found = [*self._assistants()]
        target = index + by
        if 0 <= target < len(found):
            found[index], found[target] = found[target], found[index]
            phrase = tr("Move assistant {number} up", number=index + 1)
            if by > 0:
                phrase = tr("Move assistant {number} down", number=index + 1)
            self.context.document.edit(phrase, {"assistants": found})

    def _remove(self, index: int) -> None:
        rest = [each for place, each in enumerate(self._assistants()) if place != index]
        self.context.document.edit(tr("Remove assistant {number}", number=index + 1), {"assistants": rest})
        self.add.setFocus()

    # -- showing -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        super().refresh()
        wanted = len(self._assistants())
        while len(self.cards) > wanted:
            self.cards.pop().forget()
        while len(self.cards) < wanted:
            index = len(self.cards)
            card = AssistantCard(self.context, index)
            card.up.clicked.connect(functools.partial(self._clicked, index, -1))
            card.down.clicked.connect(functools.partial(self._clicked, index, 1))
            card.remove.clicked.connect(functools.partial(self._clicked, index, 0))
            self.cards.append(card)
            self._list.insertWidget(index, card)
        for card in self.cards:
            card.refresh(wanted)
        values = {name: self.context.document.get(name) for name in WAY}
        for box in self.fields:
            box.refresh(values)
            matters = wanted > 0 and (box.schema.name == "guided" or values["guided"] == "dense")
            shown = matters or not box.is_default or bool(self.context.problem_below(box.path))
            self.way_grid.set_shown(box, shown)
        self.way_grid.place()
        self.way.setVisible(self.way_grid.any_shown)
        teacher = self.context.document.get("teacher") is not None
        self.add.setEnabled(teacher)
        self.add.setText(tr("Add an assistant") if teacher else tr("An assistant needs a teacher"))
        self.costs.refresh()

    def _clicked(self, index: int, by: int, checked: bool = False) -> None:
        if by:
            self._move(index, by)
        else:
            self._remove(index)

    def facts_changed(self, part: str) -> None:
        self.costs.refresh()
        for card in self.cards:
            card.show_facts()


class AssistantCard(Card):
    """One assistant."""

    def __init__(self, context: Context, index: int) -> None:
        title = network_title(f"assistant-{index + 1}")
        super().__init__(title)
        self.setAccessibleName(title)
        self.index = index
        self.context = context
        self.cost = QLabel()
        self.cost.setObjectName("soft")
        self.head.insertWidget(1, self.cost)
        self.up = IconButton(context.theme, "arrow-up", tr("Move assistant {number} up", number=index + 1))
        self.down = IconButton(context.theme, "arrow-down", tr("Move assistant {number} down", number=index + 1))
        self.remove = IconButton(context.theme, "trash", tr("Remove assistant {number}", number=index + 1))
        for button in (self.up, self.down, self.remove):
            self.head.addWidget(button)
        path = f"assistants.{index}"
        self.form = ModelForm(context, path, AssistantSpec)
        self.status = FactStatus(context, path, tr("Building assistant {number}", number=index + 1))
        self.body.addWidget(self.form)
        self.body.addWidget(self.status)

    def refresh(self, count: int) -> None:
        """Shows what the document says; `count` assistants there are."""
        self.up.setEnabled(self.index > 0)
        self.down.setEnabled(self.index < count - 1)
        self.form.refresh()
        self.show_facts()

    def show_facts(self) -> None:
        """Shows what the engine says of it."""
        self.status.refresh()
        fact = self.context.facts.parts.get(f"assistants.{self.index}")
        known = fact.answer if fact is not None else None
        words = ""
        if known:
            count, flops = f"{known['parameters']:,}", amount(known["flops"])
            words = tr("{count} parameters · {flops} FLOPs per sample", count=count, flops=flops)
        self.cost.setText(words)

    def forget(self) -> None:
        """The card goes away."""
        self.form.forget()
        self.setParent(None)
        self.deleteLater()


class ChainCard(Card):
    """What every network of the chain costs, and how much smaller it is than the one before it."""

    def __init__(self, context: Context) -> None:
        super().__init__(tr("The chain"))
        self.context = context
        self.grid = QGridLayout()
        self.grid.setHorizontalSpacing(24)
        self.grid.setVerticalSpacing(8)
        self.grid.setColumnStretch(0, 1)
        self.body.addLayout(self.grid)

    def refresh(self) -> None:
        """Builds the rows anew."""
        while (item := self.grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        heads = ("", tr("Parameters"), tr("FLOPs per sample"), tr("Smaller by"))
        for column, text in enumerate(heads):
            self._cell(0, column, text, soft=True)
        before: int | None = None
        for row, (name, known) in enumerate(self._networks(), start=1):
            self._cell(row, 0, name)
            count = known["parameters"] if known else None
            self._cell(row, 1, f"{count:,}" if count is not None else "–")
            self._cell(row, 2, amount(known["flops"]) if known else "–")
            if before and count:
                self._cell(row, 3, f"{times(before / count)} ×")
            before = count

    def _networks(self) -> list[tuple[str, dict[str, Any] | None]]:
        facts, document = self.context.facts, self.context.document
        found = [(label_of("teacher"), facts.teacher.answer)] if document.get("teacher") is not None else []
        assistants = document.get("assistants")
        for place in range(len(assistants) if isinstance(assistants, list) else 0):
            fact = facts.parts.get(f"assistants.{place}")
            found.append((network_title(f"assistant-{place + 1}"), fact.answer if fact is not None else None))
        return [*found, (label_of("student"), facts.student.answer)]

    def _cell(self, row: int, column: int, text: str, soft: bool = False) -> None:
        label = QLabel(text)
        label.setObjectName("soft" if soft or column == 0 else "")
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        self.grid.addWidget(label, row, column, side)
