#!/bin/bash
# edge.sh OVERLAY PUBLIC-ADDRESS OVERLAY-ADDRESS: zthook on the edge, with a pool of five addresses.
set -euo pipefail
overlay=$1 public=$2 private=$3

device_of() {
    ip -o -4 addr show | awk -v address="$1" '$4 ~ "^" address "/" { print $2 }'
}

cd /zthook
./install.sh edge
if [ ! -e /etc/zthook/edge.toml ]; then
    pool=(--pool "hk=203.0.113.10-203.0.113.14" --uplink "$(device_of "$public")")
    case $overlay in
        plain) zthook edge init --interface "$(device_of "$private")" "${pool[@]}" ;;
        zerotier) zthook edge init --controller "${pool[@]}" ;;
    esac
fi
systemctl start zthook-edge
zthook edge status
