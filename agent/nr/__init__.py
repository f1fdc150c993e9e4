"""The network resource of a network: what a node has of it in its kernel.

plan     (pure) names, what should be there, and the steps from what is there
guard    (pure) its nftables text
runner   `Resource`: makes it, repairs it, takes it away
"""
