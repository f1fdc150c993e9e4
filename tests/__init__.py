"""The tests mirror the packages; tests/lab builds whole farms, tests/fakes holds the only stand-ins."""
