"""The components that come with ganlab: datasets, losses, exporters, observers, built on its public names alone."""
