"""The contract of every component, ours and strangers': `contract` for pytest, `run_checks` for anything else."""

from __future__ import annotations

from ganlab.testing.subject import Check as Check
from ganlab.testing.subject import ContractError as ContractError
from ganlab.testing.subject import Subject as Subject
from ganlab.testing.suite import Result as Result
from ganlab.testing.suite import checks_of as checks_of
from ganlab.testing.suite import contract as contract
from ganlab.testing.suite import run_checks as run_checks
