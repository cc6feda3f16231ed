"""Losses: pure functions, tensors in and a scalar tensor out. One file a family."""

from kdstudio.engine.losses.features import boundary_loss, cosine_loss, hint_loss, partial_l2_loss, variational_loss
from kdstudio.engine.losses.maps import (
    attention_map,
    attention_transfer_loss,
    factor_loss,
    flow_loss,
    hierarchical_context_loss,
    neuron_selectivity_loss,
)
from kdstudio.engine.losses.outputs import (
    correlation_loss,
    decoupled_loss,
    generalized_jsd_loss,
    logit_matching_loss,
    reverse_kl_loss,
    soft_target_loss,
)
from kdstudio.engine.losses.relations import (
    contrastive_loss,
    correlation_congruence_loss,
    probabilistic_transfer_loss,
    relational_angle_loss,
    relational_distance_loss,
    similarity_preserving_loss,
)

__all__ = [
    "attention_map",
    "attention_transfer_loss",
    "boundary_loss",
    "contrastive_loss",
    "correlation_congruence_loss",
    "correlation_loss",
    "cosine_loss",
    "decoupled_loss",
    "factor_loss",
    "flow_loss",
    "generalized_jsd_loss",
    "hierarchical_context_loss",
    "hint_loss",
    "logit_matching_loss",
    "neuron_selectivity_loss",
    "partial_l2_loss",
    "probabilistic_transfer_loss",
    "relational_angle_loss",
    "relational_distance_loss",
    "reverse_kl_loss",
    "similarity_preserving_loss",
    "soft_target_loss",
    "variational_loss",
]
