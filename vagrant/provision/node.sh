#!/bin/sh
# A node. All its cards but Vagrant's are the agent's. SUPERVISOR: systemd or zinit.
set -eu

mkdir -p /etc/zosnet
cat >/etc/zosnet/agent.yaml <<EOF
supervisor: $SUPERVISOR
nics:
  exclude: [eth0]
EOF
zosnet-agent install --supervisor "$SUPERVISOR"
