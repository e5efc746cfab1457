#!/bin/bash
# Installs zthook on a host or an edge, shows it on one machine, or runs its tests.
set -euo pipefail

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$SOURCE/build          # demo and test keep their Python, kernel and logs here
PREFIX=/opt/zthook
UNITS=/etc/systemd/system
HOOKS=/etc/libvirt/hooks
LOG=$BUILD/install.log
PYTHON=/usr/bin/python3      # Debian's: its libvirt and nftables bindings belong to it

PACKAGES_COMMON=(ca-certificates iproute2 nftables python3 python3-nftables python3-venv)
PACKAGES_HOST=(iptables libvirt-clients libvirt-daemon-system python3-libvirt)
# The lab starts its own libvirtd: libvirt-daemon has the program and no service.
PACKAGES_LAB=(busybox-static cpio dnsmasq-base iptables kmod libvirt-clients libvirt-daemon
    libvirt-daemon-driver-qemu procps python3-libvirt qemu-system-x86 util-linux)
PACKAGES_TEST=(conntrack curl git mmdebstrap shellcheck)

usage() {
    cat <<'USAGE'
usage: sudo ./install.sh COMMAND

  demo                 a home, an edge and a real guest on this one machine: see it work
  host [--no-restart]  install on a KVM host (then: zthook join TOKEN)
  edge                 install on the machine with the public addresses (then: zthook edge init)
  uninstall [--purge]  remove what host or edge installed (--purge: configuration and store too)
  test [--all] [ARGS]  run the tests (--all: the long ones as well; ARGS go to pytest)
  bench [ARGS]         run the benchmarks and print their tables

Example: sudo ./install.sh demo
USAGE
}

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# step TEXT COMMAND…: one line a step, with its time; what it prints goes to the log.
step() {
    local text=$1 begun ended
    shift
    printf '  %-58s' "$text"
    begun=$(date +%s%N)
    if ! "$@" >>"$LOG" 2>&1; then
        printf 'failed\n\n'
        tail -n 15 "$LOG" >&2
        fail "\"$text\" failed" "everything it printed is in $LOG"
    fi
    ended=$(date +%s%N)
    printf '%5d.%d s\n' $(((ended - begun) / 1000000000)) $(((ended - begun) / 100000000 % 10))
}

need_root() {
    [ "$(id -u)" = 0 ] || fail "install.sh $1 must run as root" "sudo ./install.sh $1"
}

# need_debian RELEASE…: the lab of demo, test and bench knows fewer than the program does.
need_debian() {
    local id='' version='' pretty=unknown
    # shellcheck source=/dev/null
    [ ! -r /etc/os-release ] || . /etc/os-release
    id=${ID:-} version=${VERSION_ID:-} pretty=${PRETTY_NAME:-unknown}
    case "$id: $* " in
        "debian:"*" $version "*) ;;
        *) fail "this is $pretty, and for this install.sh knows Debian $* so far" \
            "other distributions: install the package with pip and follow docs/install-by-hand.md" ;;
    esac
}

missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep 'ok installed' >/dev/null || printf '%s\n' "$package"
    done
}

apt_install() {
    # A machine whose lists are fresh enough needs no update; where the install fails, update and retry.
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

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

INSTALLED=()
install_packages() {
    local runner=$1 missing
    shift
    mapfile -t missing < <(missing_packages "$@")
    INSTALLED=("${missing[@]}")
    [ ${#missing[@]} = 0 ] || step "Debian packages (${#missing[@]} missing)" "$runner" apt_install "${missing[@]}"
}

make_venv() {
    local folder=$1
    shift
    [ -x "$folder/bin/python" ] || "$PYTHON" -m venv --system-site-packages "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

#
# demo, test, bench: everything in build/ of this checkout, nothing on the machine but packages
#

prepare_lab() {
    mkdir -p "$BUILD"
    : >"$LOG"
    install_packages without_services "${PACKAGES_COMMON[@]}" "${PACKAGES_LAB[@]}" "$@"
}

demo() {
    need_root demo
    need_debian 12
    printf 'Setting up (packages from Debian, Python packages and a kernel into build/)\n'
    prepare_lab
    step "Python packages" make_venv "$BUILD/venv" -e "${SOURCE}[edge,host]"
    step "a small guest image" guest_image
    run_here -m tests.lab demo
    [ ${#INSTALLED[@]} = 0 ] || printf '\nPackages that stay on this machine: %s\n' "${INSTALLED[*]}"
    printf 'Everything else is in %s: remove it when you like.\n' "$BUILD"
}

# become_python ARGS: Python of the build folder, in the checkout, with zthook in its PATH,
# in place of this shell.
become_python() {
    cd "$SOURCE"
    PATH="$BUILD/venv/bin:$PATH" ZTHOOK_LAB_CACHE="$BUILD/lab" exec "$BUILD/venv/bin/python" "$@"
}

run_here() { (become_python "$@"); }

guest_image() { run_here -m tests.lab guest-image; }

debian13() { run_here -m tests.lab debian13; }

run_tests() {
    local marks='not long' examples=same
    need_root test
    need_debian 12
    if [ "${1:-}" = --all ]; then
        marks='' examples=search
        shift
    fi
    printf 'Setting up\n'
    prepare_lab "${PACKAGES_TEST[@]}"
    step "Python packages" make_venv "$BUILD/venv" -e "${SOURCE}[edge,host,test]"
    step "a small guest image" guest_image
    step "a root of Debian 13" debian13
    if [ $# -gt 0 ]; then
        run_here -m pytest --hypothesis-profile="$examples" -m "$marks" "$@"
    else
        run_all_tests "$marks" "$examples"
    fi
}

# Three shares at once, of about the same length: most of its time a test waits for a guest to
# boot, or for something to happen. All are run to their ends; the first one is shown as it runs.
run_all_tests() {
    local marks=$1 examples=$2 status=0 second third
    local -a runs=(-m pytest --hypothesis-profile="$examples" --durations=12 -m "$marks")
    local -a late=("$SOURCE"/tests/end_to_end/test_[h-z]*.py tests/faults tests/hypervisor)
    local -a early=("$SOURCE"/tests/end_to_end/test_[a-g]*.py tests/kernel_host tests/firewalls)
    become_python "${runs[@]}" "${late[@]}" >"$BUILD/tests-2.log" 2>&1 &
    second=$!
    become_python "${runs[@]}" --ignore tests/end_to_end --ignore tests/faults \
        --ignore tests/hypervisor --ignore tests/kernel_host --ignore tests/firewalls \
        >"$BUILD/tests-3.log" 2>&1 &
    third=$!
    trap 'kill $second $third 2>/dev/null' EXIT
    printf '\nTests, a third of them (the others run beside them, into %s)\n' "$BUILD/tests-*.log"
    run_here "${runs[@]}" "${early[@]}" || status=$?
    printf '\nThe other two thirds\n'
    wait $second || status=$?
    cat "$BUILD/tests-2.log"
    wait $third || status=$?
    trap - EXIT
    cat "$BUILD/tests-3.log"
    return $status
}

run_bench() {
    need_root bench
    need_debian 12
    printf 'Setting up\n'
    prepare_lab
    step "Python packages" make_venv "$BUILD/venv" -e "${SOURCE}[edge,host,test]"
    run_here -m bench "$@"
}

#
# host, edge, uninstall: for real
#

start_log() {
    BUILD=$PREFIX
    LOG=$PREFIX/install.log
    mkdir -p "$PREFIX"
    : >"$LOG"
}

have_systemd() { [ -d /run/systemd/system ]; }

install_command() {
    step "zthook into $PREFIX" make_venv "$PREFIX/venv" --upgrade "${SOURCE}[$1]"
    ln -sfn "$PREFIX/venv/bin/zthook" /usr/local/bin/zthook
    mkdir -p /usr/local/share/bash-completion/completions
    zthook completion bash >/usr/local/share/bash-completion/completions/zthook
}

install_units() {
    local unit
    have_systemd || { printf '  no systemd here: start "zthook %s" by your own means\n' "$1" && return; }
    shift
    for unit in "$@"; do
        install -m 644 "$SOURCE/install/$unit" "$UNITS/$unit"
    done
    step "systemd units" systemctl daemon-reload
}

# hook_text HOST.TOML: the hook with what that file says, as a hook has nobody to ask.
hook_text() {
    local seconds=''
    [ ! -r "$1" ] || seconds=$(sed -n 's/^ *required_seconds *= *\([0-9.]*\).*/\1/p' "$1")
    sed "s/^required_seconds=.*/required_seconds=${seconds:-5}/" "$SOURCE/hooks/qemu"
}

# The hook is ours if it carries our mark; anything else there is never overwritten.
HOOK_CHANGED=''
install_hook() {
    local place=$HOOKS/qemu.d/zthook version
    version=$(virsh --version=short 2>/dev/null || virsh --version)
    if [ "$(printf '%s\n6.5.0\n' "$version" | sort -V | head -n 1)" != 6.5.0 ]; then
        place=$HOOKS/qemu
    fi
    if [ -e "$place" ] && ! grep -q 'urn:zthook:1' "$place"; then
        fail "$place is somebody else's hook, so it stays as it is" \
            "call ours from it: $SOURCE/hooks/qemu \"\$@\", or move it away and run this again"
    fi
    if [ ! -e "$place" ] || ! hook_text /etc/zthook/host.toml | cmp -s - "$place"; then
        [ -e "$place" ] || HOOK_CHANGED=yes   # libvirtd looks for new hook files only when it starts
        install -D -m 755 <(hook_text /etc/zthook/host.toml) "$place"
    fi
    printf '  %-58s%s\n' "hook" "$place"
}

restart_libvirtd() {
    local restart=$1
    [ -n "$HOOK_CHANGED" ] || return 0
    if [ "$restart" = no ] || ! have_systemd; then
        printf '  libvirtd was not restarted: it sees the new hook after its next start;\n'
        printf '  until then the agent works by events, and required="yes" is not enforced.\n'
    elif systemctl --quiet is-active libvirtd; then
        step "restart of libvirtd (guests keep running)" systemctl restart libvirtd
    fi
}

install_host() {
    local restart=yes
    need_root host
    need_debian 12 13
    [ "${1:-}" != --no-restart ] || restart=no
    start_log
    printf 'Installing zthook on this host\n'
    install_packages env_run "${PACKAGES_COMMON[@]}" "${PACKAGES_HOST[@]}"
    install_command host
    install_hook
    install_units agent zthook-agent.socket zthook-agent.service
    if have_systemd; then
        step "agent enabled and started" systemctl enable --now zthook-agent.socket zthook-agent.service
        step "agent runs this version" systemctl restart zthook-agent.service
    fi
    restart_libvirtd $restart
    cat <<'NEXT'

Next: on the edge run "zthook edge host add NAME", and here the command it prints:
  sudo zthook join TOKEN
then give a guest its address:
  sudo zthook assign GUEST PUBLIC
NEXT
}

env_run() { "$@"; }

install_edge() {
    need_root edge
    need_debian 12 13
    start_log
    printf 'Installing zthook on this edge\n'
    install_packages env_run "${PACKAGES_COMMON[@]}"
    install_command edge
    install_units "edge serve" zthook-edge-rules.service zthook-edge.service
    if have_systemd; then
        step "edge enabled" systemctl enable zthook-edge-rules.service zthook-edge.service
        if [ -e /etc/zthook/edge.toml ]; then
            step "edge runs this version" systemctl restart zthook-edge.service
        fi
    fi
    [ -e /etc/zthook/edge.toml ] || cat <<'NEXT'

Next: say which overlay and which addresses, then start it:
  sudo zthook edge init --zerotier NETWORK --pool NAME=FIRST-LAST
  sudo systemctl start zthook-edge
  sudo zthook edge host add home1
NEXT
}

remove_kernel_state() {
    local command family
    for command in iptables-nft ip6tables-nft; do remove_iptables_rules $command; done
    # Only asking legacy iptables for a table would make it.
    ! grep -qsx filter /proc/net/ip_tables_names || remove_iptables_rules iptables-legacy
    ! grep -qsx filter /proc/net/ip6_tables_names || remove_iptables_rules ip6tables-legacy
    nft -a list ruleset |
        awk '$1 == "table" { table = $2 " " $3 }
            $1 == "chain" { chain = $2 }
            / comment "zthook(-edge)?: / { print "delete rule", table, chain, "handle", $NF }' |
        nft -f -
    remove_firewalld_policies
    # With the table goes what keeps IPv6 to mappings: where forwarding was off, it is off again.
    if nft list set inet zthook closed6 2>/dev/null | grep ipv6 >/dev/null; then
        echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
    fi
    nft delete table inet zthook 2>/dev/null || true
    nft delete table inet zthook_host 2>/dev/null || true
    for family in -4 -6; do
        # Ours before the local table's rule needs a second one for a moment: where a crash left
        # only that, the machine would not know its own addresses any more.
        # Not grep -q: it ends at once, and then a pipe into it may have failed.
        if ip $family rule show protocol 123 2>/dev/null | grep 'lookup local' >/dev/null; then
            ip $family rule add pref 0 table local protocol kernel 2>/dev/null || true
        fi
        # Whatever is ours of these carries protocol 123. A flush passes over preference 0.
        ip $family rule del table 12310 protocol 123 2>/dev/null || true
        ip $family rule flush protocol 123 2>/dev/null || true
        ip $family route flush table all proto 123 2>/dev/null || true
        ip $family neigh flush proxy proto 123 2>/dev/null || true
        ip $family neigh flush nud permanent proto 123 2>/dev/null || true
    done
}

remove_firewalld_policies() {
    local policies
    policies=$(find /etc/firewalld/policies -name 'zthook*.xml*' -print -delete 2>/dev/null || true)
    [ -n "$policies" ] || return 0
    if firewall-cmd --state >/dev/null 2>&1; then firewall-cmd --reload; fi
}

# remove_iptables_rules COMMAND: our rules among others', known by their comments.
remove_iptables_rules() {
    local rule
    { "$1" -S 2>/dev/null || true; } | sed -nE '/--comment zthook(-edge)? /s/^-A/-D/p' |
        while read -r rule; do
            # shellcheck disable=SC2086  # the rule is a list of words
            "$1" -w $rule
        done
}

uninstall() {
    local unit purge=''
    need_root uninstall
    [ "${1:-}" != --purge ] || purge=yes
    BUILD=$(mktemp -d)
    LOG=$BUILD/uninstall.log
    printf 'Removing zthook\n'
    if [ -e /var/lib/zthook/credential.json ] && command -v zthook >/dev/null; then
        step "this host leaves its edge" leave_edge
    fi
    for unit in zthook-agent.socket zthook-agent.service zthook-edge.service zthook-edge-rules.service; do
        if [ -e "$UNITS/$unit" ]; then
            step "$unit" remove_unit "$unit"
        fi
    done
    for unit in "$HOOKS/qemu.d/zthook" "$HOOKS/qemu"; do
        if grep -qs 'urn:zthook:1' "$unit"; then rm -f "$unit"; fi
    done
    step "rules and routes of ours" remove_kernel_state
    rm -rf "$PREFIX" /run/zthook
    rm -f /usr/local/bin/zthook /usr/local/share/bash-completion/completions/zthook
    if [ -n "$purge" ]; then
        rm -rf /etc/zthook /var/lib/zthook
    elif [ -e /etc/zthook ] || [ -e /var/lib/zthook ]; then
        printf '  /etc/zthook and /var/lib/zthook stay (--purge removes them)\n'
    fi
    rm -rf "$BUILD"
    printf 'Gone. Annotations in guests'\'' XML do nothing without it.\n'
}

leave_edge() {
    zthook leave || printf 'the edge could not be told: its owner can run "zthook edge host remove"\n'
}

remove_unit() {
    if have_systemd; then systemctl disable --now "$1"; fi
    rm -f "$UNITS/$1"
    if have_systemd; then systemctl daemon-reload; fi
}

main() {
    local command=${1:-}
    [ $# = 0 ] || shift
    case $command in
        demo) demo "$@" ;;
        test) run_tests "$@" ;;
        bench) run_bench "$@" ;;
        host) install_host "$@" ;;
        edge) install_edge "$@" ;;
        uninstall) uninstall "$@" ;;
        -h | --help | help) usage ;;
        '') usage >&2; exit 2 ;;
        *) printf 'error: "%s" is no command of install.sh\n' "$command" >&2; usage >&2; exit 2 ;;
    esac
}

main "$@"
