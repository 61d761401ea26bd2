"""Pictures and pages of landmarks and volumes."""
