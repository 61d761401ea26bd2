"""Where faces may be: detectors propose landmark boxes, the landmark network then judges and refines them."""
