"""What the host promises about kills, signals, damage and strangers' files: each test counts, and has a nightly scale."""
