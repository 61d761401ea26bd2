"""Times on this machine."""
