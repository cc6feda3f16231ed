"""Losses: pure functions, tensors in and a scalar tensor out. One file a family."""

from kdstudio.engine.losses.chunked import (
    chunk_positions,
    generalized_jsd_loss_chunked,
    hard_target_loss_chunked,
    in_chunks,
    logit_matching_loss_chunked,
    reverse_kl_loss_chunked,
    soft_target_loss_chunked,
)
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
    hard_target_loss,
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
from kdstudio.engine.losses.text import (
    attention_distribution_loss,
    attention_score_loss,
    attention_scores,
    patient_loss,
    value_relation_loss,
)

__all__ = [
    "attention_distribution_loss",
    "attention_map",
    "attention_score_loss",
    "attention_scores",
    "attention_transfer_loss",
    "boundary_loss",
    "chunk_positions",
    "contrastive_loss",
    "correlation_congruence_loss",
    "correlation_loss",
    "cosine_loss",
    "decoupled_loss",
    "factor_loss",
    "flow_loss",
    "generalized_jsd_loss",
    "generalized_jsd_loss_chunked",
    "hard_target_loss",
    "hard_target_loss_chunked",
    "hierarchical_context_loss",
    "hint_loss",
    "in_chunks",
    "logit_matching_loss",
    "logit_matching_loss_chunked",
    "neuron_selectivity_loss",
    "partial_l2_loss",
    "patient_loss",
    "probabilistic_transfer_loss",
    "relational_angle_loss",
    "relational_distance_loss",
    "reverse_kl_loss",
    "reverse_kl_loss_chunked",
    "similarity_preserving_loss",
    "soft_target_loss",
    "soft_target_loss_chunked",
    "value_relation_loss",
    "variational_loss",
]
