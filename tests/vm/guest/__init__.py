"""Programs that run inside a test machine."""
