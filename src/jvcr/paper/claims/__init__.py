"""Tests of the paper's claims, with one small training budget for all variants."""
