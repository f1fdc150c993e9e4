"""`ncadm`: steers a running controller over its admin socket; opens no database.

client                            one call over ipc, with what a person is told when it fails
network, member, token, status    the nouns, a file each
"""
