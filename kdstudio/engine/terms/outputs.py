"""Terms on the outputs. The docstrings are what docs/methods is made from."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from kdstudio.engine.losses import (
    correlation_loss,
    decoupled_loss,
    generalized_jsd_loss,
    generalized_jsd_loss_chunked,
    hard_target_loss,
    hard_target_loss_chunked,
    logit_matching_loss,
    logit_matching_loss_chunked,
    reverse_kl_loss,
    reverse_kl_loss_chunked,
    soft_target_loss,
    soft_target_loss_chunked,
)
from kdstudio.engine.terms.base import StepOutputs, TermModule
from kdstudio.project.spec import (
    CorrelationTerm,
    DecoupledTerm,
    HardTerm,
    JSDTerm,
    LogitTerm,
    ReverseKLTerm,
    SoftTerm,
)

#: From so many outputs on a loss is computed in pieces: several probability tensors of a vocabulary fill a device.
VOCABULARY = 4096


def is_vocabulary(logits: Tensor) -> bool:
    """Whether the outputs are words of a vocabulary rather than classes."""
    return logits.shape[-1] >= VOCABULARY


class HardModule(TermModule):
    """Hard labels: cross-entropy with the label of each sample, in float32.

    Equation:
        L = - log p_s[y], with p_s = softmax(z_s); the mean over the batch

    When it helps:
        Beside almost every other term: it is the only one that knows where the teacher is wrong. Alone it is the
        baseline that a method has to beat.

    Usual weights:
        0.1 beside soft targets of weight 0.9; 1 beside terms on layers. Label smoothing 0 to 0.1.

    Traps:
        With much weight it drowns soft targets, and label smoothing blurs what the teacher says of the other classes.

    Paper:
        Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network (1503.02531), section 2.
    """

    spec: HardTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        if self.partial:
            loss = hard_target_loss_chunked if is_vocabulary(outputs.student_logits) else hard_target_loss
            return loss(outputs.student_logits, outputs.targets, self.spec.label_smoothing)
        return functional.cross_entropy(
            outputs.student_logits.float(), outputs.targets, label_smoothing=self.spec.label_smoothing
        )


class SoftModule(TermModule):
    """Soft targets: the teacher's whole output distribution, softened by a temperature (`soft_target_loss`).

    Equation:
        L = T^2 sum_c p_t[c] log(p_t[c] / p_s[c]), with p = softmax(z / T); the mean over the batch

    When it helps:
        Nearly always, and it costs nothing but the teacher's outputs. Most with few labels, or a student much smaller
        than the data ask for.

    Usual weights:
        0.9 beside hard labels of weight 0.1; T from 2 to 8. Small students do best with T of 2.5 to 4; with 300 or more
        units per layer every T above 8 is alike. The published benchmark on CIFAR-100 has T = 4.

    Traps:
        A teacher that is sure of everything, as after training to zero loss, has little to say at a small T. Without
        the factor T^2, which other code leaves out, another T is another weight, too.

    Paper:
        Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network (1503.02531), section 2.
    """

    spec: SoftTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        loss = soft_target_loss_chunked if is_vocabulary(outputs.student_logits) else soft_target_loss
        return loss(outputs.student_logits, outputs.teacher(), self.spec.temperature)


class ReverseKLModule(TermModule):
    """Reverse KL: the student is led to where the teacher is sure, not everywhere it sees a chance (`reverse_kl_loss`).

    Equation:
        L = T^2 sum_c p_s[c] log(p_s[c] / p_t[c]), with p = softmax(z / T); the mean over the batch

    When it helps:
        When the student is far too small to cover all that the teacher holds possible: it gives up rare answers rather
        than spread over them. It comes from language models; with a few classes try soft targets first.

    Usual weights:
        1 in the paper, alone; or 0.9 in the place of soft targets. T = 1.

    Traps:
        Where the student gives a class nearly nothing there is nearly no gradient to bring it back, so begin from a
        trained student, or have hard labels beside it.

    Paper:
        Gu, Dong, Wei and Huang 2023, MiniLLM (2306.08543), equation 1.
    """

    spec: ReverseKLTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        loss = reverse_kl_loss_chunked if is_vocabulary(outputs.student_logits) else reverse_kl_loss
        return loss(outputs.student_logits, outputs.teacher(), self.spec.temperature)


class JSDModule(TermModule):
    """Generalised JSD: a bounded divergence between forward and reverse KL (`generalized_jsd_loss`).

    Equation:
        L = b KL(p_t || m) + (1 - b) KL(p_s || m), with m = b p_t + (1 - b) p_s and p = softmax(z / T);
        b = 0 is KL(p_t || p_s), b = 1 is KL(p_s || p_t); the mean over the batch

    When it helps:
        When a few samples on which the networks disagree widely rule the loss: it cannot exceed log 2. beta chooses
        between covering all that the teacher says (small) and its main answer (large).

    Usual weights:
        1; beta 0.1, 0.5 or 0.9; T = 1.

    Traps:
        Near the ends the loss shrinks: with beta 0.01 it is about 100 times smaller than with beta 0, so raise the
        weight. There is no factor T^2: a large T makes it small as well.

    Paper:
        Agarwal et al. 2024, On-Policy Distillation of Language Models (GKD, 2306.13649), equation 1.
    """

    spec: JSDTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        loss = generalized_jsd_loss_chunked if is_vocabulary(outputs.student_logits) else generalized_jsd_loss
        return loss(outputs.student_logits, outputs.teacher(), self.spec.beta, self.spec.temperature)


class DecoupledModule(TermModule):
    """Decoupled distillation: soft targets in two parts with weights of their own (`decoupled_loss`).

    Equation:
        L = T^2 (alpha TCKD + beta NCKD); TCKD = KL of (p[y], 1 - p[y]), NCKD = KL of the other classes, renormalised;
        p = softmax(z / T); the mean over the batch. Soft targets are TCKD + (1 - p_t[y]) NCKD.

    When it helps:
        With a teacher that is sure: plain soft targets weigh what it says of the other classes by 1 - p_t[y], which is
        next to nothing then.

    Usual weights:
        1 beside hard labels of weight 1; alpha 1, beta 1 to 8 (the larger, the surer the teacher), T = 4. The published
        runs raise the weight over the first 20 of 240 epochs: one term with until_epoch 20 and a schedule from 0 to 1,
        and another with from_epoch 20.

    Traps:
        It needs labels for the training samples. With two classes nothing is left beside the target: beta has to be 0.
        A large beta at the start of a training with a large learning rate can diverge.

    Paper:
        Zhao, Cui, Song, Qiu and Liang 2022, Decoupled Knowledge Distillation (2203.08679), equation 7.
    """

    spec: DecoupledTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        spec = self.spec
        return decoupled_loss(
            outputs.student_logits, outputs.teacher(), outputs.targets, spec.alpha, spec.beta, spec.temperature
        )


class CorrelationModule(TermModule):
    """Correlation of outputs: order and spacing of the outputs are kept, not their values (`correlation_loss`).

    Equation:
        L = T^2 [inter (1 - mean Pearson of the rows) + intra (1 - mean Pearson of the columns)] of softmax(z / T);
        a row is a sample, a column a class over the batch

    When it helps:
        With a teacher much stronger than the student, whose exact probabilities the student cannot meet.

    Usual weights:
        1 beside hard labels of weight 1; inter and intra 1 with T = 1 on ImageNet, 2 with T = 4 on CIFAR-100. The paper
        calls them beta and gamma.

    Traps:
        Columns are compared within a batch, or a micro-batch where train.accumulate is set: below 32 samples they are
        noise. A class that does not occur in the batch has a nearly constant column.

    Paper:
        Huang, You, Wang, Qian and Xu 2022, Knowledge Distillation from A Stronger Teacher (DIST, 2205.10536),
        section 3.
    """

    spec: CorrelationTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        spec = self.spec
        return correlation_loss(outputs.student_logits, outputs.teacher(), spec.inter, spec.intra, spec.temperature)


class LogitModule(TermModule):
    """Logit matching: mean squared difference of the logits (`logit_matching_loss`).

    Equation:
        L = mean over batch and classes of (z_s - z_t)^2

    When it helps:
        When the student is large enough to follow the teacher closely. It is the limit of soft targets for a large T,
        with no temperature to choose.

    Usual weights:
        1, alone or beside hard labels of weight 0.1.

    Traps:
        Logits of unlikely classes count as much as those of likely ones, although the teacher's training hardly
        determined them; a small student spends itself on that noise. A shift of all logits counts, too.

    Paper:
        Ba and Caruana 2014, Do Deep Nets Really Need to be Deep? (1312.6184), equation 1.
    """

    spec: LogitTerm

    def forward(self, outputs: StepOutputs) -> Tensor:
        loss = logit_matching_loss_chunked if is_vocabulary(outputs.student_logits) else logit_matching_loss
        return loss(outputs.student_logits, outputs.teacher())
