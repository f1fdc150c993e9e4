"""The controller as a systemd unit, with a user of its own and nothing but its own directories.

text = unit(Path("/opt/zosnet/bin/zosnet-controller"))
"""

from collections.abc import Sequence

from runtime.systemd import quoted

NAME = "zosnet-controller.service"
USER = "zosnet-controller"
# In the language of sysusers.d(5).
ACCOUNT = f'u {USER} - "zosnet controller" -\n'

_UNIT = """\
[Unit]
Description=zosnet: admit nodes, assign addresses, sign
After=network.target
StartLimitIntervalSec=0

[Service]
User={user}
ExecStart={command}
Restart=always
RestartSec=2
StateDirectory=zosnet/controller
StateDirectoryMode=0700
RuntimeDirectory=zosnet/controller
RuntimeDirectoryMode=0750
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(command: Sequence[str]) -> str:
    return _UNIT.format(user=USER, command=" ".join(map(quoted, command)))
