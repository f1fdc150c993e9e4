#!/bin/sh
# PID 1 then: what any machine has mounted, the disk of its own if there is one; becomes /scenario.
export PATH=/opt/zosnet/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
hostname -F /etc/hostname
modprobe -a virtio_net tun
ip link set lo up
if [ -b /dev/vdc ]; then
  mount -t ext4 /dev/vdc /disk
  tops="/etc/zosnet /etc/zinit /var/lib/zosnet /var/log"
  mkdir -p $tops
  if [ ! -e /disk/made ]; then
    for top in $tops; do mkdir -p /disk$top; cp -a $top/. /disk$top; done
    sync
    touch /disk/made
    sync
  fi
  for top in $tops; do mount --bind /disk$top $top; done
fi
read -r uptime _ </proc/uptime
echo "@@ init $uptime"
exec /bin/sh /scenario
