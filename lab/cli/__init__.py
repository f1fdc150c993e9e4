"""The commands of `zosnet-lab`, one a file."""
