"""What docs/promises.md promises, tested: runs that are killed, refused, signalled and lied to by what they read."""
