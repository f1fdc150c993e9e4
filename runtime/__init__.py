"""How our processes run: failures and exit codes, files, config, log, clock, command lines.

Knows nothing of networks or of zosnet's programs. Read in this order:
`failure` (what a person is told), `paths`, `files`, `config`, `log`, `clock`, `usage`, `cli`.
"""
