"""Terms: a loss with its weight, its pairs and whatever it learns. One file a family."""

from kdstudio.engine.terms.base import StepOutputs, TermModule
from kdstudio.engine.terms.hint import HintModule, HintRegressor
from kdstudio.engine.terms.outputs import HardModule, SoftModule

__all__ = ["HardModule", "HintModule", "HintRegressor", "SoftModule", "StepOutputs", "TermModule"]
