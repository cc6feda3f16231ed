"""What the window calls the methods of a comparison, their families, and what is said of them."""

from __future__ import annotations

from kdstudio.gui.language import mark, tr
from kdstudio.project.paired import BETTER, NO_DIFFERENCE, TOO_FEW, WORSE

FAMILIES = {
    "labels": mark("Labels alone"),
    "outputs": mark("Outputs"),
    "features": mark("Features"),
    "relations": mark("Relations"),
    "peers": mark("Further students"),
}
TITLES = {
    "hard": mark("Hard labels"),
    "soft": mark("Soft targets"),
    "reverse-kl": mark("Reverse KL"),
    "jsd": mark("Generalised JSD"),
    "decoupled": mark("Decoupled (DKD)"),
    "correlation": mark("Correlation (DIST)"),
    "logits": mark("Logit matching"),
    "hint": mark("Hints, joint (FitNets)"),
    "hint-two-stage": mark("Hints, two stages (FitNets)"),
    "attention": mark("Attention maps (AT)"),
    "selectivity": mark("Neuron selectivity (NST)"),
    "context": mark("Hierarchical context"),
    "variational": mark("Variational (VID)"),
    "review": mark("Knowledge review (ReviewKD)"),
    "overhaul": mark("Overhauled features (OFD)"),
    "factor": mark("Factor transfer (FT)"),
    "boundary": mark("Activation boundaries (AB)"),
    "flow": mark("Flow of the solution (FSP)"),
    "rkd": mark("Relational (RKD)"),
    "similarity": mark("Similarity preserving (SP)"),
    "probabilistic": mark("Probabilistic transfer (PKT)"),
    "congruence": mark("Correlation congruence (CC)"),
    "contrastive": mark("Contrastive (CRD)"),
    "contrastive-soft": mark("Contrastive and soft targets"),
    "mutual": mark("Mutual learning (DML)"),
}
VERDICTS = {
    BETTER: mark("better"),
    WORSE: mark("worse"),
    NO_DIFFERENCE: mark("no clear difference"),
    TOO_FEW: mark("too few seeds"),
}


def title_of(method: str) -> str:
    """A method's name; one of a newer version is called as on the command line."""
    return tr(TITLES[method]) if method in TITLES else method
