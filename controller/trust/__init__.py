"""Which keys are believed: the keyset, how it changes, and how a signer is replaced.

keyset      (pure) a keyset with a signer or a controller more, or less
rotation    (pure) how far the replacement of a signer is
paper       (pure) keysets on their way to an offline root key and back
memory      what of it the database keeps
keeper      all of it kept: files, database, pushes
root        the root key's secret, taken away from here
"""
