"""controller/admin."""
