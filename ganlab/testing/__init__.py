"""For tests of components, ours and strangers': the contract that each is held to, and tiny runs with it."""

from __future__ import annotations

from ganlab.testing.subject import Check as Check
from ganlab.testing.subject import ContractError as ContractError
from ganlab.testing.subject import Subject as Subject
from ganlab.testing.suite import Result as Result
from ganlab.testing.suite import checks_of as checks_of
from ganlab.testing.suite import contract as contract
from ganlab.testing.suite import run_checks as run_checks
from ganlab.testing.tiny import Stripes as Stripes
from ganlab.testing.tiny import isolated as isolated
from ganlab.testing.tiny import tiny_recipe as tiny_recipe
