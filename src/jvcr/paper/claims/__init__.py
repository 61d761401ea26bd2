"""The paper's claims at one small budget."""
