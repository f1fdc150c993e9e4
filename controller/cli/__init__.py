"""The commands of `zosnet-controller`, one a file."""
