"""One command of `zosnet-agent` a file; each a client of networkd's socket or of a status file."""
