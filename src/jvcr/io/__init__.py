"""Checked inputs and outputs, photos, box files and records."""
