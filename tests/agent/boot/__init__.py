"""The boot: choice, machine, status; what needs a kernel is in tests/lab."""
