#!/bin/busybox sh
# PID 1 at first: from the initramfs to the disks, with a layer in memory for what is written.
b=/bin/busybox
$b mkdir -p /dev /base /project /layer /new
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do $b insmod /modules/$module; done
$b mount -r -t ext4 /dev/vda /base
$b mount -r -t ext4 /dev/vdb /project
$b mount -t tmpfs layer /layer
$b mkdir /layer/work
$b mv /own /layer/upper
$b mount -t overlay -o lowerdir=/project:/base,upperdir=/layer/upper,workdir=/layer/work root /new
$b umount /dev
exec $b switch_root /new /init
