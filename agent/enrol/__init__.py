"""agent/enrol."""
