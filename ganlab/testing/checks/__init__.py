"""The checks of the contract, a module a kind."""
