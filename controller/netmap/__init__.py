"""What members are told (pure).

relays      which transit member carries which member
rows        a member as its peers see it, and a frame's worth of such rows
recent      what was used or changed lately, in bounded memory
netmap      the rows of one network by revision, for each member the ones that it may see
"""
