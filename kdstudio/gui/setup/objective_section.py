"""The Objective section: the formula, a card for each term, and what the temperature does."""

from __future__ import annotations

import functools
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from kdstudio.gui.language import mark, tr
from kdstudio.gui.setup.balance import BalanceCard, names_of
from kdstudio.gui.setup.context import Context
from kdstudio.gui.setup.first_items import first_item
from kdstudio.gui.setup.schema import complete, fields_of, variants_of
from kdstudio.gui.setup.section import Section
from kdstudio.gui.setup.temperature import TemperatureCard
from kdstudio.gui.setup.terms import TermCard
from kdstudio.gui.setup.words import term_inside, term_words
from kdstudio.project.pairing import first_pairs
from kdstudio.project.spec import JOIN_RULES, Experiment, JoinRule, PeerSpec, TeacherSpec

#: Terms that stand in the menu itself, and what the menus of the others are called, by the module of their spec.
FIRST = ("hard", "soft", "hint")
FAMILIES = {
    "output_terms": mark("More on the outputs"),
    "network_terms": mark("Several networks"),
    "feature_terms": mark("Features of layers"),
    "relation_terms": mark("Relations between samples"),
    "trained_terms": mark("With parts that learn"),
    "text_terms": mark("Layers of text networks"),
}
#: The term that looks at several teachers.
ENSEMBLE = "ensemble"


class ObjectiveSection(Section):
    """The weighted sum of terms."""

    def __init__(self, context: Context) -> None:
        sentence = tr("The weighted sum of terms that the student minimises.")
        super().__init__(context, tr("Objective"), sentence, ("objective",))
        models = next(schema.models for schema in fields_of(Experiment) if schema.name == "objective")
        self._key, self._table = variants_of(models)
        self.balance = BalanceCard(context)
        self.cards: list[TermCard] = []
        self._signature: list[str] = []
        self._holder = QWidget()
        self._list = QVBoxLayout(self._holder)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(12)
        self.add = self._add_button()
        row = QHBoxLayout()
        row.addWidget(self.add)
        row.addStretch(1)
        self._list.addLayout(row)
        self.temperature = TemperatureCard(context)
        self.columns.add(self.balance)
        self.columns.add(self._holder)
        self.columns.add(self.temperature, side=True)

    def _add_button(self) -> QPushButton:
        button = QPushButton(tr("Add a term"))
        button.setObjectName("menu")
        menu = QMenu(button)
        below: dict[str, QMenu] = {}
        for tag in [*FIRST, *(tag for tag in self._table if tag not in FIRST)]:
            model = self._table[tag]
            title, words = term_words(tag, model.__doc__ or "")
            family = model.__module__.rpartition(".")[2]
            if tag not in FIRST and family not in below:  # one menu of all is higher than a small screen
                if not below:
                    menu.addSeparator()
                below[family] = menu.addMenu(tr(FAMILIES[family]))
            home = menu if tag in FIRST else below[family]
            home.addAction(f"{title}\t{words}").triggered.connect(functools.partial(self._add, tag))
        self._of_texts = below["text_terms"].menuAction()
        button.setMenu(menu)
        return button

    # -- edits -------------------------------------------------------------------------------------------------

    def _terms(self) -> list[Any]:
        terms = self.context.document.get("objective")
        return terms if isinstance(terms, list) else []

    def _add(self, tag: str, checked: bool = False) -> None:
        terms = self._terms()
        first: dict[str, Any] = {self._key: tag}
        if "pairs" in self._table[tag].model_fields:
            first["pairs"] = self._first_pairs(JOIN_RULES[tag])
        phrase = tr("Add {thing}", thing=term_inside(tag))
        document = self.context.document
        changes: dict[str, Any] = {}
        if "peers" in self._table[tag].model_fields:
            first["peers"] = [first_item(PeerSpec, document, 1)]
        if tag == ENSEMBLE and not document.get("teachers"):
            changes["teachers"] = [first_item(TeacherSpec, document, 1, "teacher")]
        document.edit(phrase, {**changes, "objective": [*terms, complete(self._table[tag], first)]})
        # After the new card has its place
        QTimer.singleShot(0, self, self._show_last)

    def _show_last(self) -> None:
        if self.cards:
            self.ensureWidgetVisible(self.cards[-1])

    def _first_pairs(self, rule: JoinRule) -> list[dict[str, str]]:
        teacher, student = self.context.facts.guide.known, self.context.facts.student.known
        if teacher is None or student is None:
            return []
        return [{"teacher": one, "student": other} for one, other in first_pairs(teacher, student, rule)]

    def _move(self, index: int, by: int) -> None:
        terms = self._terms()
        target = index + by
        if 0 <= target < len(terms):
            thing = term_inside(str(terms[index].get(self._key)))
            phrase = tr("Move {thing} up", thing=thing) if by < 0 else tr("Move {thing} down", thing=thing)
            terms = [*terms]
            terms[index], terms[target] = terms[target], terms[index]
            self.context.document.edit(phrase, {"objective": terms})
            card = self.cards[target]
            button = card.up if by < 0 else card.down
            (button if button.isEnabled() else card.remove).setFocus()

    def _remove(self, index: int) -> None:
        terms = self._terms()
        thing = term_inside(str(terms[index].get(self._key)))
        rest = [term for place, term in enumerate(terms) if place != index]
        self.context.document.edit(tr("Remove {thing}", thing=thing), {"objective": rest})
        self.add.setFocus()

    # -- showing -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        super().refresh()
        terms = self._terms()
        known = self.context.facts.data.answer
        self._of_texts.setVisible(known is not None and "text" in known)
        names = names_of(terms)
        if names != self._signature:
            self._build(terms, names)
        for card in self.cards:
            card.refresh(len(self.cards))
        self.balance.refresh()
        self.temperature.refresh()

    def _build(self, terms: list[Any], names: list[str]) -> None:
        for card in self.cards:
            card.forget()
        self.cards = []
        self._signature = names
        for index, (term, name) in enumerate(zip(terms, names)):
            tag = str(term.get(self._key)) if isinstance(term, dict) else "?"
            card = TermCard(self.context, index, tag, self._table.get(tag), name)
            card.moved.connect(functools.partial(self._move, index))
            card.removed.connect(functools.partial(self._remove, index))
            self._list.insertWidget(index, card)
            self.cards.append(card)

    def facts_changed(self, part: str) -> None:
        if part in ("teacher", "student"):
            for card in self.cards:
                card.refresh(len(self.cards))
        self.temperature.refresh()

    def shown(self) -> None:
        self.temperature.wanted()
