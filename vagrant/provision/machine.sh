#!/bin/sh
# What all machines of the farm are: a Debian 12 whose way into the world is not Vagrant's card, and,
# but for the router, with zosnet in /opt/zosnet. As root; /tmp/zosnet is what vagrant/gather made.
set -eu
stage=/tmp/zosnet
home=/opt/zosnet

die() { echo "error: cannot provision this machine: $1" >&2; [ -z "${2:-}" ] || echo "hint: $2" >&2; exit 2; }
[ -e /sys/class/net/eth1 ] || die "there is no eth1" "a box that names its cards eth0, eth1: net.ifnames=0"

missing=
for package in $(cat $stage/packages); do
  case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" in ii*) ;; *) missing="$missing $package" ;; esac
done
if [ -n "$missing" ]; then
  echo "installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing; } >/tmp/apt.log 2>&1 \
    || { tail -n 20 /tmp/apt.log >&2; die "apt-get failed"; }
fi

# eth0 is for Vagrant alone: an address, and no way out.
mkdir -p /etc/dhcp/dhclient-enter-hooks.d
echo '[ "$interface" != eth0 ] || unset new_routers' >/etc/dhcp/dhclient-enter-hooks.d/zosnet-farm
while ip route del default dev eth0 2>/dev/null; do :; done

[ "$ROLE" != router ] || exit 0
python3 -m venv --clear --without-pip $home
tar -C $home/lib/python3.11/site-packages -xzf $stage/site.tar.gz
for program in zosnet-agent zosnet-controller ncadm; do
  install $home/lib/python3.11/site-packages/bin/$program $home/bin
  ln -sf $home/bin/$program /usr/local/bin
done

# A zinit that is given is a service here: PID 1 stays the box's own, which Vagrant needs.
if [ -e $stage/zinit ]; then
  systemctl -q stop zinit 2>/dev/null || :
  install -m 755 $stage/zinit /usr/local/sbin/zinit
  cat >/etc/systemd/system/zinit.service <<EOF
[Unit]
Description=zinit: starts zosnet
[Service]
ExecStartPre=/bin/mkdir -p /etc/zinit
ExecStart=/usr/local/sbin/zinit -s /var/run/zinit.sock init -c /etc/zinit --container
Restart=always
[Install]
WantedBy=multi-user.target
EOF
  systemctl daemon-reload
  systemctl -q enable --now zinit
  for i in $(seq 100); do [ -S /var/run/zinit.sock ] && break; sleep 0.2; done
fi
$home/bin/zosnet-agent --version
