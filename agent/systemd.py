"""The node's programs as systemd units: the same three services that zinit has.

    texts = units(Path("/opt/zosnet/bin/zosnet-agent"))      # by file name

They are confined by capabilities and system calls only. Whatever needs a mount namespace of its own
(ProtectSystem, PrivateTmp and their like) is out of the question: the network namespaces that one
of them mounts under /run/netns must be there for the others, and for people.
"""

from pathlib import Path

from runtime.systemd import quoted

INTERNET = "zosnet-internet.service"
KEEPER = "zosnet-dhcp-zos.service"
NETWORKD = "zosnet-networkd.service"

# docs/boot.md says what each is for; `clock: step` is networkd's.
CAPABILITIES = ("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN")

_INTERNET = """\
[Unit]
Description=zosnet: find an uplink and make the bridge zos
After=network-pre.target systemd-udev-trigger.service
Wants=network-pre.target
Before=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={agent} internet --supervisor systemd --keep-trying
Restart=on-failure
RestartSec=2
StandardOutput=journal+console
StandardError=journal+console
{limits}
[Install]
WantedBy=multi-user.target
"""

_KEEPER = """\
[Unit]
Description=zosnet: keep the lease of the bridge zos
After=zosnet-internet.service
Wants=zosnet-internet.service
StartLimitIntervalSec=0

[Service]
ExecStart={agent} dhcp zos --keep-trying
Restart=always
RestartSec=2
TimeoutStopSec=5
{limits}
[Install]
WantedBy=multi-user.target
"""

# KillMode: wireguard-go and radvd live on, and the next networkd takes them over.
_NETWORKD = """\
[Unit]
Description=zosnet: keep ndmz and the overlay
After=zosnet-internet.service
Wants=zosnet-internet.service
StartLimitIntervalSec=0

[Service]
ExecStart={agent} networkd --keep-trying
Restart=always
RestartSec=2
TimeoutStopSec=5
KillMode=process
{limits}CapabilityBoundingSet=CAP_SYS_TIME
SystemCallFilter=clock_settime

[Install]
WantedBy=multi-user.target
"""

_LIMITS = f"""\
NoNewPrivileges=yes
CapabilityBoundingSet={" ".join(CAPABILITIES)}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictNamespaces=net
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
SystemCallArchitectures=native
SystemCallFilter=@system-service mount umount2
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""


def units(agent: Path) -> dict[str, str]:
    """The texts by file name, in the order in which they start."""
    texts = {INTERNET: _INTERNET, KEEPER: _KEEPER, NETWORKD: _NETWORKD}
    return {
        name: text.format(agent=quoted(str(agent)), limits=_LIMITS) for name, text in texts.items()
    }
