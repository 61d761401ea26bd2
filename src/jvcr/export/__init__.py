"""The network as files for other programs."""
