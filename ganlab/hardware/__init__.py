"""What this machine is, and how to compute on it."""
