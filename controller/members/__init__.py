"""What a node may ask for, and how its change becomes a revision that others see.

admission    a token's connection: to be let in
copies       a node of which there are two
door         how many may wait to be authorized, and for how long
certificate  what a member says of itself, and when it gets another certificate
membership   a node's own connection: hello, join, refresh, leave, rows
departure    whose session ends when a place is lost
management   the one member that a network keeps a place for
routed       who has a prefix, or a part of it
publish      from changed members to revisions, signed rows and a network's state
rotation     a node's key gives way to another
tombstones   what was forgotten, kept for those who were away
"""
