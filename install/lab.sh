# shellcheck shell=bash
# demo, test, bench: everything in build/ of this checkout, nothing on the machine but packages.

BUILD=$SOURCE/build          # their Python, kernel and logs

# The lab starts its own libvirtd: libvirt-daemon has the program and no service.
PACKAGES_LAB=(busybox-static cpio dnsmasq-base iptables kmod libvirt-clients libvirt-daemon
    libvirt-daemon-driver-qemu procps python3-libvirt qemu-system-x86 util-linux)
PACKAGES_TEST=(conntrack curl git groff-base man-db mmdebstrap shellcheck)
PACKAGES_LONG=(chromium-headless-shell openssh-client qemu-utils rsync vagrant vagrant-libvirt)
MACHINES=("$SOURCE/tests/machines" "$SOURCE/tests/vagrant")

prepare_lab() {
    LOG=$BUILD/install.log
    mkdir -p "$BUILD"
    : >"$LOG"
    install_packages without_services "${PACKAGES_COMMON[@]}" "${PACKAGES_LAB[@]}" "$@"
}

# lab_venv EXTRAS
lab_venv() {
    on_failure "has this machine a way to the Python package index? then run this again"
    step "Python packages" "$BUILD/venv" make_venv "$BUILD/venv" -e "${SOURCE}[$1]"
}

make_venv() {
    local folder=$1
    shift
    [ -x "$folder/bin/python" ] || "$PYTHON" -m venv --system-site-packages "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

demo() {
    need_root demo
    need_debian_12 demo
    printf 'Setting up (packages from Debian, Python packages and a kernel into build/)\n'
    prepare_lab
    lab_venv edge,host
    step "a small guest image" "$BUILD/lab" guest_image
    run_here -m tests.lab demo
    [ ${#INSTALLED[@]} = 0 ] || printf '\nPackages that stay on this machine: %s\n' "${INSTALLED[*]}"
    printf 'Everything else is in %s: remove it when you like.\n' "$BUILD"
    next_steps <<'NEXT'
./install.sh edge --dry-run, and host --dry-run, show what an installation does.
NEXT
}

# become_python ARGS: Python of the build folder, in the checkout, with zthook in its PATH,
# in place of this shell. What it compiles it keeps, whatever the environment says: else each of the
# thousands of processes that tests start compiles all of zthook anew, most of a daemon's start.
become_python() {
    cd "$SOURCE" || exit
    unset PYTHONDONTWRITEBYTECODE
    PATH="$BUILD/venv/bin:$PATH" ZTHOOK_LAB_CACHE="$BUILD/lab" exec "$BUILD/venv/bin/python" "$@"
}

run_here() { (become_python "$@"); }

guest_image() { run_here -m tests.lab guest-image; }

debian13() { run_here -m tests.lab debian13; }

run_tests() {
    local marks='not long' examples=same failed=0
    local -a packages=("${PACKAGES_TEST[@]}")
    need_root test
    need_debian_12 test
    if [ "${1:-}" = --all ]; then
        marks='' examples=search
        packages+=("${PACKAGES_LONG[@]}")
        shift
    fi
    printf 'Setting up\n'
    prepare_lab "${packages[@]}"
    lab_venv edge,host,test
    step "a small guest image" "$BUILD/lab" guest_image
    [ -n "$marks" ] || step "a root of Debian 13" "$BUILD/lab" debian13
    if [ $# -gt 0 ]; then
        run_here -m pytest --hypothesis-profile="$examples" -m "$marks" "$@"
    else
        run_all_tests "$marks" "$examples" || failed=$?
        # Where somebody stopped it, or a share broke off, hours more are of no use.
        [ -n "$marks" ] || [ $failed -gt 1 ] || run_machine_tests "$examples" || failed=$?
        return $failed
    fi
}

# Whole machines, emulated: what ran beside them would wait for them, and they for it.
run_machine_tests() {
    printf '\nWhole machines, with nothing beside them\n'
    run_here -m pytest --hypothesis-profile="$1" --durations=12 "${MACHINES[@]}"
}

# Three shares at once, of about the same length: most of its time a test waits for a guest to
# boot, or for something to happen. All are run to their ends; the first one is shown as it runs.
run_all_tests() {
    local marks=$1 examples=$2 second third
    local -a runs=(-m pytest --hypothesis-profile="$examples" --durations=12 -m "$marks")
    local -a late=("$SOURCE"/tests/end_to_end/test_[h-z]*.py tests/faults)
    local -a early=("$SOURCE"/tests/end_to_end/test_[a-g]*.py tests/kernel_host tests/firewalls
        tests/hypervisor)
    local -a others=(--ignore tests/end_to_end --ignore tests/faults --ignore tests/hypervisor
        --ignore tests/kernel_host --ignore tests/firewalls "${MACHINES[@]/#/--ignore=}")
    local failed=0 broken=0
    rm -rf "$BUILD"/failed-*
    become_python "${runs[@]}" "$(failures_in 2)" "${late[@]}" >"$BUILD/tests-2.log" 2>&1 &
    second=$!
    become_python "${runs[@]}" "$(failures_in 3)" "${others[@]}" >"$BUILD/tests-3.log" 2>&1 &
    third=$!
    trap 'kill $second $third 2>/dev/null' EXIT
    printf '\nTests, a third of them (the others run beside them, into %s)\n' "$BUILD/tests-*.log"
    run_here "${runs[@]}" "$(failures_in 1)" "${early[@]}" || has_failed 1 $?
    printf '\nThe other two thirds\n'
    wait $second || has_failed 2 $?
    cat "$BUILD/tests-2.log"
    wait $third || has_failed 3 $?
    trap - EXIT
    cat "$BUILD/tests-3.log"
    [ $broken = 0 ] || return $broken
    [ $failed = 0 ] || pass_alone "${runs[@]}"
}

# has_failed SHARE STATUS: any other of pytest's than 1, or no list of what failed, says that the
# share did not come to its end.
has_failed() {
    failed=1
    [ "$2" = 1 ] && [ -s "$BUILD/failed-$1/v/cache/lastfailed" ] || broken=$2
}

failures_in() { printf -- '-ocache_dir=%s' "$BUILD/failed-$1"; }

# pass_alone RUN: whether the files of what failed pass once nothing runs beside them. One or two of
# thousands of tests that wait for packets and guests may have waited in vain on a busy machine;
# what is broken fails here too. Of more than five it is not asked.
pass_alone() {
    local -a tests=() files=()
    mapfile -t tests < <(cat "$BUILD"/failed-*/v/cache/lastfailed | sed -n 's/^  "\(.*\)": true,\?$/\1/p')
    [ ${#tests[@]} -gt 0 ] && [ ${#tests[@]} -le 5 ] || return 1
    mapfile -t files < <(printf '%s\n' "${tests[@]%%::*}" | sort -u)
    printf '\nThese failed with others beside them. Their files once more, alone:\n'
    printf '  %s\n' "${tests[@]}"
    run_here "$@" "$(failures_in again)" "${files[@]}" || return 1
    printf '\nAlone they pass. Each of these waits too little, or too long (docs/architecture.md):\n'
    printf '  %s\n' "${tests[@]}"
}

run_bench() {
    need_root bench
    need_debian_12 bench
    printf 'Setting up\n'
    prepare_lab
    lab_venv edge,host,test
    run_here -m bench "$@"
}
