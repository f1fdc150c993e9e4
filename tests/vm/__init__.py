"""Virtual machines: what only a real kernel shows. `script/test --vm` runs them.

A machine is QEMU without KVM in a world of the lab: its cards are taps on the world's switches, so
the lab's routers, pretend Internet and controller are there for it, at the speed of this machine.
It boots Debian's cloud kernel, and has this machine's own programs and Python on its disks.

files       files as a disk or an initramfs
image       what a machine has on it
machine     start one, read its marks, cut its power
farm        machines as nodes of the lab's farm
guest       what runs inside
test_*      a scenario each; with the seconds that it took
"""
