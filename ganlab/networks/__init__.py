"""Networks that are called together: those that ship as one, and several batches that go through one."""
