"""Face detectors propose landmark boxes; the landmark network verifies and refines them."""
