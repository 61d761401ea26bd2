"""Timings on this machine."""
