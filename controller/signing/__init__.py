"""Secret keys as files (`keyring`) and records as signed statements (`statement`)."""
