"""Landmark markups: which points there are, and files that define more of them."""
