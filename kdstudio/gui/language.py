"""The language of the window: every text that it shows goes through `tr`, and comes back in the person's language.

The words in the code are English and stand for themselves, so the window needs no catalogue to speak it. Translations
lie in `resources/translations` as Qt's compiled catalogues, `kdstudio_de.qm` for German; docs/translating.md says how
one is made. What the engine writes into logs, and the words of specs, stay English: they are read by programs too.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from kdstudio.project.shipped import resource

CONTEXT = "kdstudio"
#: Qt counts in 32 bits.
LARGEST = 2**31 - 1


def tr(text: str, /, **parts: object) -> str:
    """A text in the language of the window.

    Args:
        text: English words, literally in the code so that they are found. Numbers and names have a place in them,
            `"{count} of {all} runs"`, because their order differs between languages.
        parts: What comes to those places.
    """
    found = QCoreApplication.translate(CONTEXT, text)
    return found.format(**parts) if parts else found


def trn(one: str, many: str, count: int, /, **parts: object) -> str:
    """A text that depends on a number, in the language of the window, whose plurals may be more than two.

    Args:
        one: English words for one: `"{count} run"`.
        many: English words for none or several: `"{count} runs"`.
        count: The number; it comes to the place `{count}`.
    """
    found = QCoreApplication.translate(CONTEXT, many, "", min(count, LARGEST))
    if found == many and count == 1:
        found = one
    return found.format(count=count, **parts)


def mark(text: str) -> str:
    """Says that a text of a table is translated later, by `tr` where it is shown."""
    return text


def install_language(application: QCoreApplication, locale: QLocale | None = None) -> list[QTranslator]:
    """Loads the catalogues of the system's language, the window's own and that of Qt's buttons, where there are any.

    Returns:
        The translators that are installed now.
    """
    locale = locale or QLocale.system()
    places = (("kdstudio", str(resource("translations"))), ("qtbase", _qt_translations()))
    installed = []
    for name, folder in places:
        translator = QTranslator(application)
        if translator.load(locale, name, "_", folder) and application.installTranslator(translator):
            installed.append(translator)
    return installed


def _qt_translations() -> str:
    return QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
