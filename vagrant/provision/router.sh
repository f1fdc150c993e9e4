#!/bin/sh
# The router between the Internet, which is a network with the controller on it, and two sites:
#   site a (eth2): public IPv4, IPv6.  site b (eth3): IPv4 behind NAT, IPv6.
# It has DHCP and router advertisements for both.
set -eu

cat >/etc/network/interfaces.d/farm <<EOF
auto eth1 eth2 eth3
iface eth1 inet static
  address 203.0.113.1/24
iface eth1 inet6 static
  address 2001:db8::1/64
iface eth2 inet static
  address 198.51.100.1/24
iface eth2 inet6 static
  address 2001:db8:a:1::1/64
iface eth3 inet static
  address 192.168.7.1/24
iface eth3 inet6 static
  address 2001:db8:b:1::1/64
EOF
printf '%s\n' net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 >/etc/sysctl.d/farm.conf
sysctl -q -p /etc/sysctl.d/farm.conf
ifup eth1 eth2 eth3

# Nothing is forwarded from or to eth0, which is Vagrant's.
cat >/etc/nftables.conf <<EOF
#!/usr/sbin/nft -f
flush ruleset
table inet farm {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname eth0 drop
    oifname eth0 drop
    ip daddr 192.168.7.0/24 drop
    accept
  }
}
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 192.168.7.0/24 oifname != eth3 masquerade
  }
}
EOF
systemctl -q enable nftables
systemctl restart nftables

cat >/etc/dnsmasq-farm.conf <<EOF
interface=eth2
interface=eth3
bind-interfaces
port=0
dhcp-authoritative
dhcp-range=198.51.100.100,198.51.100.250,1h
dhcp-range=192.168.7.100,192.168.7.250,1h
enable-ra
dhcp-range=2001:db8:a:1::,ra-only,64,1h
dhcp-range=2001:db8:b:1::,ra-only,64,1h
ra-param=*,10,600
dhcp-leasefile=/run/dnsmasq-farm.leases
EOF
cat >/etc/systemd/system/dnsmasq-farm.service <<EOF
[Unit]
Description=DHCP and router advertisements for the sites
After=networking.service
[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/etc/dnsmasq-farm.conf
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl -q enable dnsmasq-farm
systemctl restart dnsmasq-farm
