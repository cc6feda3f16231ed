"""The words of advice: by rule a heading, and the reason with its figures. The window translates them from here.

Shares come as percentages. docs/make_catalogue.py finds these texts.
"""

from __future__ import annotations

#: Rule: what is said, and the figures that it rests on.
WORDS = {
    "keeps-up": (
        "Nothing to mend: the student keeps up with its teacher",
        "On {validation_samples} validation samples it reaches {student:.1f} %, its teacher {guide:.1f} %.",
    ),
    "noise": (
        "The gap is within the noise",
        "The student reaches {student:.1f} %, its teacher {guide:.1f} % on {validation_samples} validation samples: "
        "with so few, chance alone may move the difference by up to {noise:.1f} points.",
    ),
    "assistant": (
        "An assistant is worth trying",
        "KL has stopped falling and yet the student agrees with its teacher on only {agreement:.1f} % of "
        "{train_samples} training samples: it is too small to copy it (KL {kl:.3f} nats, moved by {moved:.0f} % from "
        "epoch {first} to {last}). The teacher has {ratio:.1f} times its parameters and {gap:.1f} points more on "
        "validation samples.",
    ),
    "larger-student": (
        "A larger student is worth trying",
        "KL has stopped falling and yet the student agrees with its teacher on only {agreement:.1f} % of "
        "{train_samples} training samples: it is too small to copy it (KL {kl:.3f} nats, moved by {moved:.0f} % from "
        "epoch {first} to {last}). The teacher has only {ratio:.1f} times its parameters, which leaves little room for "
        "an assistant, and {gap:.1f} points more on validation samples.",
    ),
    "epochs": (
        "More epochs are worth trying",
        "KL on {train_samples} training samples still fell by {moved:.0f} % from epoch {first} to {last}, to {kl:.3f} "
        "nats on average. The student lacks {gap:.1f} points on validation samples.",
    ),
    "unsteady": (
        "A lower learning rate is worth trying",
        "KL on {train_samples} training samples rose by {moved:.0f} % from epoch {first} to {last}, to {kl:.3f} nats "
        "on average. The student lacks {gap:.1f} points on validation samples.",
    ),
    "data": (
        "More varied samples are worth trying, not a larger student",
        "The student copies its teacher on {agreement:.1f} % of {train_samples} training samples, but on "
        "{validation_agreement:.1f} % of {validation_samples} validation samples. It lacks {gap:.1f} points there.",
    ),
    "follows": (
        "Nothing stands out",
        "The student agrees with its teacher on {agreement:.1f} % of {train_samples} training samples and on "
        "{validation_agreement:.1f} % of validation samples, and KL has stopped falling ({kl:.3f} nats). It lacks "
        "{gap:.1f} points.",
    ),
    "short": (
        "Too few epochs to tell what holds the student back",
        "Whether KL still falls takes {fewest} measurements in the last quarter to see; {epochs} epochs gave {points}. "
        "The student agrees with its teacher on {agreement:.1f} % of {train_samples} training samples and lacks "
        "{gap:.1f} points on validation samples.",
    ),
    "no-record": (
        "What holds the student back is not recorded in this run",
        "It lacks {gap:.1f} points on validation samples. A new run records how near it comes on training samples.",
    ),
    "keeps-up-alone": (
        "The student keeps up with its teacher, but would without it",
        "On {validation_samples} validation samples it reaches {student:.1f} %, its teacher {guide:.1f} %.",
    ),
    "keeps-up-f1": (
        "Nothing to mend: the student keeps up with its teacher",
        "On {validation_samples} validation words it reaches F1 {student:.1f} %, its teacher {guide:.1f} %.",
    ),
    "keeps-up-alone-f1": (
        "The student keeps up with its teacher, but would without it",
        "On {validation_samples} validation words it reaches F1 {student:.1f} %, its teacher {guide:.1f} %.",
    ),
    "noise-f1": (
        "The gap is within the noise",
        "The student reaches F1 {student:.1f} %, its teacher {guide:.1f} % on {validation_samples} validation words: "
        "with so few, chance alone may move the difference by up to {noise:.1f} points.",
    ),
    "no-record-f1": (
        "The student lacks {gap:.1f} points of its teacher's F1",
        "On {validation_samples} validation words it reaches F1 {student:.1f} %, its teacher {guide:.1f} %. What holds "
        "it back is not told of taggers: how near they come on training samples is not recorded.",
    ),
    "keeps-up-perplexity": (
        "Nothing to mend: the student keeps up with its teacher",
        "On {validation_samples} validation tokens its perplexity is {student:.2f}, its teacher's {guide:.2f}.",
    ),
    "keeps-up-alone-perplexity": (
        "The student keeps up with its teacher, but would without it",
        "On {validation_samples} validation tokens its perplexity is {student:.2f}, its teacher's {guide:.2f}.",
    ),
    "no-record-perplexity": (
        "The teacher's perplexity is {gap:.1f} % lower than the student's",
        "On {validation_samples} validation tokens the student's is {student:.2f}, its teacher's {guide:.2f}. What "
        "holds it back is not told of language models: how near they come on training samples is not recorded.",
    ),
    "temperature": (
        "At T = {found:.1f} the second class has {share:g} % on average",
        "At T = {temperature:g}, as the soft term has it, it has {second:.1f} %, and the mean entropy is {entropy:.2f} "
        "of at most {most:.2f} nats ({samples} validation samples).",
    ),
    "temperature-alone": (
        "At T = {found:.1f} the second class has {share:g} % on average",
        "On {samples} validation samples; at T = 1 it has {second:.1f} %. The objective has no soft term.",
    ),
    "sharp": (
        "A higher temperature is worth trying",
        "At T = {temperature:g} the second class has only {second:.1f} % on average, so that soft targets say little "
        "more than labels do. At T = {found:.1f} it has {share:g} % ({samples} validation samples).",
    ),
    "flat": (
        "A lower temperature is worth trying",
        "At T = {temperature:g} the teacher's outputs are almost uniform: a mean entropy of {entropy:.2f} of at most "
        "{most:.2f} nats. At T = {found:.1f} the second class has {share:g} % ({samples} validation samples).",
    ),
    "temperature-f1": (
        "At T = {found:.1f} the second tag has {share:g} % on average",
        "At T = {temperature:g}, as the soft term has it, it has {second:.1f} %, and the mean entropy is {entropy:.2f} "
        "of at most {most:.2f} nats ({samples} words of validation sentences).",
    ),
    "temperature-alone-f1": (
        "At T = {found:.1f} the second tag has {share:g} % on average",
        "On {samples} words of validation sentences; at T = 1 it has {second:.1f} %. The objective has no soft term.",
    ),
    "sharp-f1": (
        "A higher temperature is worth trying",
        "At T = {temperature:g} the second tag has only {second:.1f} % on average, so that soft targets say little "
        "more than tags do. At T = {found:.1f} it has {share:g} % ({samples} words of validation sentences).",
    ),
    "flat-f1": (
        "A lower temperature is worth trying",
        "At T = {temperature:g} the teacher's outputs are almost uniform: a mean entropy of {entropy:.2f} of at most "
        "{most:.2f} nats. At T = {found:.1f} the second tag has {share:g} % ({samples} words of validation sentences).",
    ),
}

#: What is said below a reason: whose figures these are, and why they are thin evidence.
NOTES = {
    "alone": "From hard labels alone the same student reached as much or more: distillation did not help in this run.",
    "of-assistant": "Its teacher is the last assistant here.",
    "few-samples": "Thin evidence: {samples} samples are few.",
    "few-validation": "Thin evidence: {validation_samples} validation samples are few.",
    "few-train": "Thin evidence: {train_samples} training samples are few.",
    "few-points": "Thin evidence: {points} measurements in the last quarter are few.",
    "gap-noise": "Thin evidence: chance alone may move the gap by up to {noise:.1f} points.",
}
