"""The components that come with ganlab: datasets, losses, exporters and observers, built on its public names alone."""
