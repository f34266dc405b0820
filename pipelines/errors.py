"""Every error a user can meet.

OrdercastError
├── ContractError            a retry cannot help: the input, a setting or a state is wrong
│   ├── SettingsError        an unknown or impossible setting; nothing was started
│   ├── SourceFileError      a file to import was refused; nothing of it was loaded
│   ├── SourceContractError  a source table lacks what the contract requires; the warehouse is unchanged
│   ├── QualityError         too much of a batch was bad; what that means for the data is in the message
│   ├── TransformError       a dbt model or test failed; nothing was published
│   ├── MetricError          no such metric, dimension or period
│   ├── OverrideError        no such series or override, or one that holds on no day
│   ├── PolicyRuleError      no such policy rule, or one that cannot hold
│   ├── DecisionError        a decision was refused; nothing was changed
│   │   ├── NotPermittedError       the actor's role, limit or scope does not allow it
│   │   ├── KeyReusedError          the decision_id stands for another request already
│   │   └── OutdatedDecisionError   the recommendation is not any more what the actor saw
│   ├── ReportError          no such report, column or customer, or the source lacks what it needs
│   ├── ReleaseError         no such release, or its file is damaged
│   └── BackupError          a backup is damaged, foreign, or would overwrite what stands; nothing was changed
└── UnavailableError         a retry may help: something outside did not answer
    ├── StoreUnavailableError      the operational store is missing, locked or unreachable
    ├── AccessNotRecordedError     what is recorded before it is shown could not be recorded, so it was not shown
    └── WarehouseUnavailableError  another process writes the warehouse, or the disk is full
"""

from __future__ import annotations


class OrdercastError(Exception):
    """Base of all errors; its text is one message a user can act on."""


class ContractError(OrdercastError):
    """A retry cannot help."""


class SettingsError(ContractError):
    """A setting is unknown or impossible; nothing was started."""


class SourceFileError(ContractError):
    """A file to import was refused; nothing of it was loaded. `files` names what was refused."""

    def __init__(self, message: str, *, files: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.files = files


class SourceContractError(ContractError):
    """A source table lacks what the contract requires; the warehouse is unchanged."""


class QualityError(ContractError):
    """Too much of a batch was bad."""


class TransformError(ContractError):
    """A dbt model or test failed; nothing was published."""


class MetricError(ContractError):
    """No such metric, dimension or period."""


class OverrideError(ContractError):
    """No such series or override, or one that cannot hold; nothing was written."""


class PolicyRuleError(ContractError):
    """No such policy rule, or one that cannot hold; nothing was written."""


class AlertError(ContractError):
    """No such alert rule or exception, or one that cannot be so; nothing was written."""


class DecisionError(ContractError):
    """A decision was refused; nothing was changed."""


class NotPermittedError(DecisionError):
    """The actor's role, limit or scope does not allow it; nothing was changed."""


class KeyReusedError(DecisionError):
    """The decision_id stands for another request already; nothing was changed."""


class OutdatedDecisionError(DecisionError):
    """The recommendation is not any more what the actor saw; nothing was changed."""


class ReportError(ContractError):
    """No such report, column or customer, or the source lacks what it needs."""


class ReleaseError(ContractError):
    """No such release, or its file is damaged."""


class BackupError(ContractError):
    """A backup is damaged, foreign, or would overwrite what stands; nothing was changed."""


class UnavailableError(OrdercastError):
    """A retry may help."""


class StoreUnavailableError(UnavailableError):
    """The operational store is missing, locked or unreachable.

    `is_passing`: a lock, a deadlock or a connection that broke, so the same call may succeed at once. Where the connection broke
    while a transaction was being committed, nobody knows whether it was.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class AccessNotRecordedError(UnavailableError):
    """Rows about single customers or orders were not shown, because who looks at them could not be recorded."""


class WarehouseUnavailableError(UnavailableError):
    """The warehouse is being written by another process, or the disk is full."""
