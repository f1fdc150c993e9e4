"""agent/nr."""
