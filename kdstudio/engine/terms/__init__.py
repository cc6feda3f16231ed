"""Terms: a loss with its weight, its pairs and whatever it learns. One file a family."""

from kdstudio.engine.terms.base import Facts, StandIn, StepOutputs, TermModule
from kdstudio.engine.terms.features import HintModule
from kdstudio.engine.terms.outputs import HardModule, SoftModule
from kdstudio.engine.terms.pairs import PairModule
from kdstudio.engine.terms.regressor import HintRegressor
from kdstudio.engine.terms.table import OUTPUT_MODULES, PAIR_MODULES, make_term, module_of

__all__ = [
    "OUTPUT_MODULES",
    "PAIR_MODULES",
    "Facts",
    "HardModule",
    "HintModule",
    "HintRegressor",
    "PairModule",
    "SoftModule",
    "StandIn",
    "StepOutputs",
    "TermModule",
    "make_term",
    "module_of",
]
