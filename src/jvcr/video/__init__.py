"""Faces through a video."""
