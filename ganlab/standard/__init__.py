"""The components that come with ganlab: datasets, losses, exporters, metrics, built on its public names alone."""
