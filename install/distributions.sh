# shellcheck shell=bash
# Which distribution this is, what it calls the packages, and how it installs them.

PYTHON=/usr/bin/python3      # the system's: its libvirt and nftables bindings belong to it

PACKAGES_COMMON=(ca-certificates iproute2 nftables python3 python3-nftables python3-venv)
PACKAGES_HOST=(iptables libvirt-clients libvirt-daemon-system python3-libvirt)
PACKAGES_COMMON_FEDORA=(ca-certificates iproute nftables python3 python3-nftables)
PACKAGES_HOST_FEDORA=(iptables-nft libvirt-client libvirt-daemon-kvm python3-libvirt)
# The system's Python is too old for zthook, and libvirt's binding there is for that one.
PACKAGES_COMMON_JAMMY=(ca-certificates iproute2 nftables python3-nftables python3.11 python3.11-venv)
PACKAGES_HOST_JAMMY=(gcc iptables libvirt-clients libvirt-daemon-system libvirt-dev pkg-config python3.11-dev)

UNTRIED=''           # what to say of a distribution that we know from its documents only
OLDEST_FEDORA=41
KNOWN='Debian 12 and 13 (tried); Ubuntu 22.04 and 24.04, Fedora 41 and later (not tried)'

# read_distribution: sets DISTRIBUTION ("debian 12", "unknown unknown" where nobody says) and PRETTY.
read_distribution() {
    local -a said
    # In a shell of its own, as the file sets a dozen names.
    # shellcheck source=/dev/null
    mapfile -t said < <(
        unset ID VERSION_ID PRETTY_NAME
        . "${ZTHOOK_OS_RELEASE:-/etc/os-release}" 2>/dev/null
        printf '%s\n' "${ID:-unknown} ${VERSION_ID:-unknown}" "${PRETTY_NAME:-${ID:-unknown}}"
    )
    DISTRIBUTION=${said[0]:-unknown unknown}
    PRETTY=${said[1]:-a system without /etc/os-release}
}

# need_distribution: host, edge and upgrade go on where they know what to do.
need_distribution() {
    local version
    read_distribution
    version=${DISTRIBUTION#* }
    FAMILY=apt
    case $DISTRIBUTION in
        'debian 12' | 'debian 13') return ;;
        'ubuntu 24.04') ;;
        'ubuntu 22.04')
            PYTHON=/usr/bin/python3.11
            PACKAGES_COMMON=("${PACKAGES_COMMON_JAMMY[@]}")
            PACKAGES_HOST=("${PACKAGES_HOST_JAMMY[@]}")
            ;;
        'fedora '*)
            FAMILY=dnf
            PACKAGES_COMMON=("${PACKAGES_COMMON_FEDORA[@]}")
            PACKAGES_HOST=("${PACKAGES_HOST_FEDORA[@]}")
            [ "${version//[0-9]/}" = '' ] || unknown_distribution   # "rawhide"
            [ "$version" -ge $OLDEST_FEDORA ] || unknown_distribution
            ;;
        *) unknown_distribution ;;
    esac
    UNTRIED="written for $PRETTY from its documents, and not tried there by us yet"
}

unknown_distribution() {
    fail "this is $PRETTY, and install.sh does not know it: it knows $KNOWN" \
        "docs/install-by-hand.md has each step, for systems with Python 3.11, nftables and libvirt 6.5"
}

# need_debian_12: the lab of demo, test and bench knows fewer systems than the program does.
need_debian_12() {
    read_distribution
    FAMILY=apt
    [ "$DISTRIBUTION" = 'debian 12' ] ||
        fail "this is $PRETTY, and install.sh $1 runs on Debian 12 only" \
            "install.sh host and edge know $KNOWN"
}

missing_packages() {
    local package
    for package in "$@"; do
        have_package "$package" || printf '%s\n' "$package"
    done
}

have_package() {
    if [ "$FAMILY" = dnf ]; then
        rpm -q --quiet --whatprovides "$1"
    else
        dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep 'ok installed' >/dev/null
    fi
}

apt_install() {
    # A machine whose lists are fresh enough needs no update; where the install fails, update and retry.
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

dnf_install() { dnf install -y --setopt=install_weak_deps=False "$@"; }

# Packages must not start services on a machine that only wants to look or test.
without_services() {
    local policy=/usr/sbin/policy-rc.d made='' status=0
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=yes
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    "$@" || status=$?
    if [ -n "$made" ]; then rm -f $policy && trap - EXIT; fi
    return $status
}

# install_packages RUNNER PACKAGE…: those that are missing, which INSTALLED has then.
INSTALLED=()
install_packages() {
    local runner=$1
    shift
    mapfile -t INSTALLED < <(missing_packages "$@")
    [ ${#INSTALLED[@]} != 0 ] || return 0
    on_failure "mend $FAMILY (has this machine a way to its mirrors?) and run this again"
    step "packages of the distribution (${#INSTALLED[@]} missing)" \
        "$FAMILY installs ${INSTALLED[*]}, and what these need" \
        "$runner" "${FAMILY}_install" "${INSTALLED[@]}"
}

at_once() { "$@"; }
