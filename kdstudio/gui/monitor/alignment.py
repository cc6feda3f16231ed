"""The alignment panel: how alike teacher's and student's layers are, now and over time."""

from __future__ import annotations

from collections.abc import Sequence

from kdstudio.gui.language import mark, tr
from kdstudio.gui.monitor.align_attention import AttentionView
from kdstudio.gui.monitor.align_layers import LayersView
from kdstudio.gui.monitor.align_pairs import PairsView, pair_names
from kdstudio.gui.monitor.align_relations import RelationsView
from kdstudio.gui.monitor.align_state import AlignState, pair_name
from kdstudio.gui.monitor.language_runs import NO_TAGS, is_tagged
from kdstudio.gui.monitor.moment import Moment
from kdstudio.gui.monitor.text_attention import TokenAttentionView
from kdstudio.gui.monitor.views import View, ViewPanel
from kdstudio.gui.theme import Theme
from kdstudio.gui.worker import TrainingWorker
from kdstudio.project.spec import PairTerm

#: Every view of the panel, in the order of the switch; each is made with the theme and the shared state.
VIEWS = (LayersView, PairsView, AttentionView, RelationsView, TokenAttentionView)

EMPTY = mark("How alike the layers of teacher and student are appears here, as soon as the student trains.")
NO_TEACHER = mark(
    "This run has no teacher, and alignment compares a teacher's layers with the student's. "
    "Choose a teacher on the Setup page to see it."
)
NO_MAP = mark(
    "The snapshots of this run hold no alignment: it needs at least four validation samples, "
    "and layers that both networks give out."
)


class AlignmentPanel(ViewPanel):
    """Views of the layers' likeness at the shared moment."""

    def __init__(self, theme: Theme, moment: Moment) -> None:
        super().__init__("alignment", tr("Alignment"), tr(EMPTY), theme, moment)
        self.state = AlignState(moment)
        self.set_views([view(theme, self.state) for view in VIEWS])
        self.switch.offer(self._suiting())

    def set_worker(self, worker: TrainingWorker | None) -> None:
        super().set_worker(worker)
        experiment = self.moment.experiment if worker is not None else None
        text = tr(EMPTY)
        if experiment is not None:
            terms = [term for term in experiment.objective if isinstance(term, PairTerm)]
            pairs = [(pair.teacher, pair.student) for term in terms for pair in term.pairs]
            self.state.pairs = list(dict.fromkeys(pairs))
            if experiment.teacher is None:
                text = tr(NO_TEACHER)
        self.empty.set_text(text)

    def _suiting(self) -> list[View]:
        """The views that suit the shown run: pictures and texts have attention of their own.

        A language model's few texts have no distances between them.
        """
        probes, texts = self.moment.probes, self.moment.texts
        words = texts is not None or (probes is not None and probes.tokens is not None)
        left_out: list[type[View]] = [AttentionView if words else TokenAttentionView]
        if texts is not None:
            left_out.append(RelationsView)
        return [view for view in self.views if type(view) not in left_out]

    def clear(self) -> None:
        self.state.clear()
        super().clear()

    def redraw(self) -> None:
        if self.moment.info is None:
            over = self.worker is not None and self.worker.run_folder.state().phase == "finished"
            self.empty.set_text(tr(NO_TAGS) if over and is_tagged(self.moment.experiment) else tr(EMPTY))
            return
        if self.state.now() is None:
            self.show_empty(True)
            experiment = self.moment.experiment
            alone = experiment is not None and experiment.teacher is None
            self.empty.set_text(tr(NO_TEACHER) if alone else tr(NO_MAP))
            return
        self.show_empty(False)
        self.switch.offer(self._suiting())
        if not self.state.read_on():
            self.stale = True  # the rest is read in the next frames
        self.switch.redraw()

    def table(self) -> Sequence[Sequence[object]]:
        """Pairs of the objective over time, the chosen pair over time; the map and what a chosen view shows now."""
        head = ("part", "step", "epoch", "teacher layer", "student layer", "cka", "error", "cosine")
        rows: list[Sequence[object]] = [head]
        infos = self.moment.infos
        for name in pair_names(infos):
            teacher, _, student = name.partition(" → ")
            rows += [
                (
                    "pair",
                    info.step,
                    info.epoch,
                    teacher,
                    student,
                    info.pair_cka[name],
                    info.pair_error.get(name),
                    info.pair_cosine.get(name),
                )
                for info in infos
                if name in info.pair_cka
            ]
        chosen = self.state.chosen
        if chosen is not None and pair_name(*chosen) not in pair_names(infos):
            steps, values = self.state.over_time(chosen)
            epochs = {info.step: info.epoch for info in infos}
            rows += [
                ("chosen pair", int(step), epochs.get(int(step), ""), *chosen, value, "", "")
                for step, value in zip(steps.tolist(), values.tolist())
            ]
        now = self.state.now()
        if now is not None:
            info, table = now
            rows += [
                ("map", info.step, info.epoch, teacher, student, float(table[row, column]), "", "")
                for row, teacher in enumerate(info.teacher_layers)
                for column, student in enumerate(info.student_layers)
            ]
        return [*rows, *self._relations(len(head)), *self._attention(len(head))]

    def _attention(self, width: int) -> list[Sequence[object]]:
        """Attention between tokens, if it has been looked at: a row for each two tokens, teacher's share, student's."""
        view = next(view for view in self.views if isinstance(view, TokenAttentionView))
        info, pair = self.moment.info, view.pair.pair()
        if info is None or pair is None:
            return []
        found: list[Sequence[object]] = []
        for one, other, taught, own in view.rows():
            values = [f"attention {one} - {other}", info.step, info.epoch, *pair, taught, own]
            found.append([*values, *[""] * (width - len(values))])
        return found

    def _relations(self, width: int) -> list[Sequence[object]]:
        """The distances of the Relations view, if it has been looked at: one row for each two samples."""
        view = next(view for view in self.views if isinstance(view, RelationsView))
        info, pair = self.moment.info, view.pair.pair()
        if not view.shown or info is None or pair is None:
            return []
        rows: list[Sequence[object]] = []
        for row, one in enumerate(view.samples):
            for column, other in enumerate(view.samples[:row]):
                sides = [float(view.shown[name][row, column]) for name in ("teacher", "student")]
                values = [f"distance {one} - {other}", info.step, info.epoch, *pair, *sides]
                rows.append([*values, *[""] * (width - len(values))])
        return rows
