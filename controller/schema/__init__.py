"""The records of the Redis schema, in and out (pure).

fields     each field with its rule, as data: what checks, exports and docs/schema.md follow
texts      values as the schema writes them: booleans, times, ids, addresses
keys       zt1:network:<nwid>:member:<address>:~ and the like
records    our rows as hashes, and hashes as rows
"""
