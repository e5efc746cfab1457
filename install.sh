#!/bin/bash
# Installs zthook on a host or an edge, shows it on one machine, or runs its tests.
set -euo pipefail

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=install/words.sh
. "$SOURCE/install/words.sh"
# shellcheck source=install/distributions.sh
. "$SOURCE/install/distributions.sh"
# shellcheck source=install/versions.sh
. "$SOURCE/install/versions.sh"
# shellcheck source=install/hook.sh
. "$SOURCE/install/hook.sh"
# shellcheck source=install/machine.sh
. "$SOURCE/install/machine.sh"
# shellcheck source=install/uninstall.sh
. "$SOURCE/install/uninstall.sh"
# shellcheck source=install/lab.sh
. "$SOURCE/install/lab.sh"

usage() {
    cat <<'USAGE'
usage: sudo ./install.sh COMMAND [OPTIONS]

  demo                               a home, an edge and a real guest on this one machine: see it work
  host [--dry-run] [--no-restart]    install on a KVM host (then: zthook join TOKEN)
  edge [--dry-run]                   install where the public addresses are (then: zthook edge init)
  upgrade [--dry-run] [--no-restart]  this checkout's version in place of what is installed
  rollback [--dry-run]               back to the version before the last upgrade
  uninstall [--dry-run] [--purge]    remove what host or edge installed
  test [--all] [ARGS]                run the tests (--all: the long ones too; ARGS go to pytest)
  bench [ARGS]                       run the benchmarks and print their tables

  --dry-run      print each step and what it changes, and take none
  --no-restart   do not restart libvirt, which looks for a new hook only when it starts
  --purge        configuration, keys and store too

host takes a token of "zthook edge host add" too, and joins that edge when it is installed.
Traffic goes on during an upgrade; where a daemon does not start, the version before comes back.
demo, test and bench run on Debian 12.
USAGE
    printf 'host, edge and upgrade know %s.\n\nExample: sudo ./install.sh demo\n' "$KNOWN"
}

# take_options COMMAND ALLOWED… -- ARGUMENT…: the options of our own commands.
take_options() {
    local command=$1 allowed='' option
    shift
    while [ "$1" != -- ]; do
        allowed+=" $1"
        shift
    done
    shift
    PURGE='' RESTART_LIBVIRT=yes
    for option in "$@"; do
        case "$allowed " in
            *" $option "*) ;;
            *) wrong "install.sh $command knows no \"$option\"" "it takes:$allowed; ./install.sh --help has the rest" ;;
        esac
        case $option in
            --dry-run) DRY_RUN=yes ;;
            --purge) PURGE=yes ;;
            --no-restart) RESTART_LIBVIRT=no ;;
        esac
    done
}

# take_token ARGUMENT…: the token among them (zthook edge host add prints it); the REST stays.
take_token() {
    local word
    TOKEN='' REST=()
    for word in "$@"; do
        case $word in
            zthook[0-9].*) TOKEN=$word ;;
            *) REST+=("$word") ;;
        esac
    done
}

main() {
    local command=${1:-}
    [ $# = 0 ] || shift
    case $command in
        demo) take_options demo -- "$@" && demo ;;
        test) run_tests "$@" ;;
        bench) run_bench "$@" ;;
        host) take_token "$@" && take_options host --dry-run --no-restart -- "${REST[@]}" && install_host "$TOKEN" ;;
        edge) take_options edge --dry-run -- "$@" && install_edge ;;
        upgrade) take_options upgrade --dry-run --no-restart -- "$@" && upgrade ;;
        rollback) take_options rollback --dry-run -- "$@" && rollback ;;
        uninstall) take_options uninstall --dry-run --purge -- "$@" && uninstall "$PURGE" ;;
        -h | --help | help) usage ;;
        '') usage >&2 && exit 2 ;;
        *)
            wrong "\"$command\" is no command of install.sh" \
                "one of demo, host, edge, upgrade, rollback, uninstall, test, bench; ./install.sh --help says more"
            ;;
    esac
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
