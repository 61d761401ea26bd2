"""Benchmarks: landmarks of any aligner against true ones."""
