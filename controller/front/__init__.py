"""Where requests come in and answers go out.

zap, sockets        strangers kept out; sockets made with every limit
request, rates      a frame as a request; how many of them one may make
handlers            who handles which message
desk, storage       requests of nodes, a batch at a time; what a failed statement means for them
clones              a key that lives twice, told from one that reconnects
sessions, push      who is connected and holds which revision; changes on their way to them
"""
