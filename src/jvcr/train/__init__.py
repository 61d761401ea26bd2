"""Training: runs as data, one loop for landmark networks and the detector."""
