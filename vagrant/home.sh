#!/bin/bash
# zthook on a KVM host. Vagrant enrols it afterwards (see Vagrantfile).
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
# What makes it a KVM host, which a box is not.
packages=(dnsmasq-base libvirt-clients libvirt-daemon-system qemu-system-x86)
install() { apt-get -qq install -y --no-install-recommends "${packages[@]}" >/dev/null; }
install || { apt-get -qq update && install; }
cd /zthook
./install.sh host
virsh net-autostart default
# Not by grep -q: it ends at once, and then virsh may have failed at writing on.
[ "$(virsh net-info default | awk '$1 == "Active:" { print $2 }')" = yes ] ||
    virsh net-start default
