"""Render near-frontal faces at larger yaws."""
