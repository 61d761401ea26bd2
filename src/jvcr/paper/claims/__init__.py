"""The paper's claims, tested with one small training budget."""
