"""Domain adaptation: learn from labelled source and unlabelled target samples."""

from tlhelpers.adaptation import validators
from tlhelpers.adaptation.batches import PairedBatches, paired_batches
from tlhelpers.adaptation.cdan import CDAN
from tlhelpers.adaptation.consistent import ConsistentDANN, RandomChannel
from tlhelpers.adaptation.coral import CORAL, coral_loss
from tlhelpers.adaptation.dann import DANN
from tlhelpers.adaptation.mcc import MCC, mcc_loss
from tlhelpers.adaptation.mmd import MMD, mmd_loss
from tlhelpers.adaptation.monitor import DomainMonitor, DomainReport, check_domains
from tlhelpers.adaptation.normalization import DomainBatchNormalization
from tlhelpers.adaptation.reversal import GradientReversal, reversal_schedule
from tlhelpers.adaptation.selection import OracleEpoch, SelectEpoch
from tlhelpers.adaptation.source_only import SourceOnly

__all__ = [
    "CDAN",
    "CORAL",
    "DANN",
    "MCC",
    "MMD",
    "ConsistentDANN",
    "DomainBatchNormalization",
    "DomainMonitor",
    "DomainReport",
    "GradientReversal",
    "OracleEpoch",
    "PairedBatches",
    "RandomChannel",
    "SelectEpoch",
    "SourceOnly",
    "check_domains",
    "coral_loss",
    "mcc_loss",
    "mmd_loss",
    "paired_batches",
    "reversal_schedule",
    "validators",
]
