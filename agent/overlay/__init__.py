"""agent/overlay."""
