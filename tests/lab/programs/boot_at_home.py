"""`zosnet-agent internet` for which a veth end is what a bond is: a link that cannot be moved.

The kernel of the lab has no bonds.
"""

import sys

from agent.__main__ import main
from netns.values import Link

Link.movable = property(lambda link: link.kind != "veth")  # type: ignore[method-assign, assignment]
sys.argv = ["zosnet-agent", "internet"]
sys.exit(main())
