#!/bin/sh
# The controller, at 203.0.113.10, with the network `home`. SUPERVISOR: systemd or zinit.
set -eu

cat >/etc/network/interfaces.d/farm <<EOF
auto eth1
iface eth1 inet static
  address 203.0.113.10/24
  gateway 203.0.113.1
iface eth1 inet6 static
  address 2001:db8::10/64
  gateway 2001:db8::1
EOF
ifup eth1

if [ ! -e /var/lib/zosnet/controller/keys ]; then
  mkdir -p /etc/zosnet
  echo 'endpoints: ["tcp://203.0.113.10:9930", "tcp://[2001:db8::10]:9930"]' >/etc/zosnet/controller.yaml
  zosnet-controller init
fi
zosnet-controller install --supervisor "$SUPERVISOR"
for i in $(seq 60); do ncadm status >/dev/null 2>&1 && break; sleep 1; done
ncadm network list -o json | grep -q '"home"' \
  || ncadm network create home --ipv4 10.90.0.0/16 --ipv6 fd90:5a4f:5e00::/64
# whoever is in its group may steer it
[ "$SUPERVISOR" = zinit ] || usermod --append --groups zosnet-controller vagrant
