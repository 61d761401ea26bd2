"""What only reproduces the paper: its claims, figures and tables."""
