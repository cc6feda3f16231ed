"""What becomes of a run that is going when the window closes, or when another one is to be started."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

from kdstudio.gui.language import tr, trn


def ask_about_runs(parent: QWidget, names: list[str]) -> str:
    """Asks, and returns `keep`, `park`, `stop` or `cancel`.

    Args:
        parent: The window.
        names: The runs that are going, for example `soft-targets/003`.
    """
    box = QMessageBox(parent)
    box.setObjectName("closing")
    box.setWindowTitle(tr("Close KD Studio"))
    going = trn("{names} is going.", "{count} runs are going: {names}.", len(names), names=", ".join(names))
    box.setText(going)
    box.setInformativeText(
        tr(
            "Keep training: it goes on in the background, and the next start finds it.\n"
            "Park: it is saved and its device is free; resume it later.\n"
            "Stop: it ends after this step, is evaluated and saved."
        )
    )
    roles = QMessageBox.ButtonRole  # buttons of one role stand in the order of the text on every desktop
    keep = box.addButton(tr("Keep training"), roles.ActionRole)
    park = box.addButton(tr("Park"), roles.ActionRole)
    stop = box.addButton(tr("Stop"), roles.ActionRole)
    cancel = box.addButton(tr("Cancel"), roles.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    return "keep" if clicked is keep else "park" if clicked is park else "stop" if clicked is stop else "cancel"


def ask_to_run_beside(parent: QWidget, names: list[str]) -> bool:
    """Asks whether a run is to be started while these are going; they would share processor, memory and device."""
    box = QMessageBox(parent)
    box.setObjectName("beside")
    box.setWindowTitle(tr("Run beside another run"))
    box.setText(trn("{names} is going.", "{count} runs are going: {names}.", len(names), names=", ".join(names)))
    box.setInformativeText(
        tr(
            "Run both: they share the processor, the memory and the device, and each is slower.\n"
            "Cancel: nothing is started; stop or park what is going first."
        )
    )
    both = box.addButton(tr("Run both"), QMessageBox.ButtonRole.ActionRole)
    cancel = box.addButton(tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return clicked is both
