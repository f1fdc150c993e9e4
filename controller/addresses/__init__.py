"""What a member gets: `pools` says which addresses are free (pure), `assignment` gives and takes them;
`prefixes` leases parts of prefix pools. `promises` says which are kept for the holders of tokens (pure).
`numbering` says where to look for a free address of a node (pure).
"""
