"""`zosnet-agent doctor`: whether this machine can be a node, found out by trying.

    examination  all of it, as a list of findings
    finding      one line: what was looked at, how it is, what to do
    kernel       what the kernel can do, tried in a namespace that nobody else sees
    machine      clock, directories, config, supervisor, programs
    network      the host's settings, other people's firewalls, what is left or in the way

Nothing is changed and nothing stays behind, also when it is killed: trials happen in a namespace
without a name and in files without a name, and both end with the process.
"""
