"""The networks in PyTorch, and their weights files."""
