"""agent/ndmz."""
