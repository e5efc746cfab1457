# shellcheck shell=bash
# host, edge, upgrade, rollback: for real.

start_log() {
    [ -z "$DRY_RUN" ] || return 0
    LOG=$PREFIX/install.log
    mkdir -p "$PREFIX"
    : >"$LOG"
}

# install_host [TOKEN]
install_host() {
    need_root host
    need_distribution
    begin "zthook on this host ($PRETTY)"
    install_roles host "$(roles_here)"
    if [ -n "${1:-}" ]; then
        join_edge "$1"
    elif [ -e "$STATE/credential.json" ]; then
        next_steps <<'NEXT'
this host belongs to an edge already; sudo zthook status shows its guests.
NEXT
    else
        next_steps <<'NEXT'
on the edge run "zthook edge host add NAME", and here the command it prints:
  sudo zthook join TOKEN
then give a guest its address:
  sudo zthook assign GUEST PUBLIC
NEXT
    fi
}

# join_edge TOKEN: its screen is the user's, as it waits until the edge lets this host in.
join_edge() {
    if [ -n "$DRY_RUN" ]; then
        step 'this host, at the edge that made the token' "$STATE/credential.json
$CONFIGURATION/host.toml, where there is none
the edge's ZeroTier network, where the token names one" true
        next_steps </dev/null
        return
    fi
    printf '\n'
    # Not as an argument, which everybody here could read.
    "$COMMAND" join - <<<"$1" ||
        fail 'zthook is installed, and this host has not joined' 'what to do stands above; then: sudo zthook join TOKEN'
    next_steps <<'NEXT'
give a guest its address:
  sudo zthook assign GUEST PUBLIC
NEXT
}

install_edge() {
    need_root edge
    need_distribution
    begin "zthook on this edge ($PRETTY)"
    install_roles edge "$(roles_here)"
    if [ -e "$CONFIGURATION/edge.toml" ]; then
        next_steps <<'NEXT'
this edge is set up already; sudo zthook edge status shows its hosts and pools.
NEXT
    else
        next_steps <<'NEXT'
say which overlay and which addresses, start it, and invite a host:
  sudo zthook edge init --controller --pool NAME=FIRST-LAST
  (--controller makes a ZeroTier network here; with one that you have: --zerotier NETWORK)
  sudo systemctl start zthook-edge
  sudo zthook edge host add home1
NEXT
    fi
}

upgrade() {
    local roles old
    need_root upgrade
    need_distribution
    roles=$(roles_here)
    [ -n "$roles" ] || fail "zthook is not installed on this machine" "./install.sh host, or edge"
    old=$("$PREFIX/venv/bin/zthook" --version 2>/dev/null) || old='zthook, a version that does not run'
    begin "$old becomes $(our_version) on this machine: ${roles//$'\n'/ and } ($PRETTY)"
    install_roles '' "$roles"
    next_steps <<'NEXT'
zthook --version says what runs now, zthook status or zthook edge status how it is.
If it is not as it should be: sudo ./install.sh rollback
NEXT
}

# install_roles ROLE ROLES: this checkout's version, for what is here and one role more.
install_roles() {
    local new
    local -a roles packages=("${PACKAGES_COMMON[@]}")
    [ ! -e "$PACKAGED" ] ||
        fail "zthook is on this machine as a Debian package" "apt purge zthook, or go on with packages: docs/install-by-hand.md"
    mapfile -t roles < <(printf '%s\n' "$1" "$2" | sed '/^$/d' | sort -u)
    new=$PREFIX/versions/$(our_version)-$(date +%Y%m%d-%H%M%S)
    start_log
    if has_role host; then
        choose_hook
        packages+=("${PACKAGES_HOST[@]}")
    fi
    install_packages at_once "${packages[@]}"
    keep_package_names
    on_failure "pip says above what it lacks (has this machine a way to the package index?); what was installed before runs on"
    step "zthook $(our_version), beside what is there" "$new" make_version "$new" "${roles[@]}"
    take_over "$new" "${roles[@]}"
    restart_libvirt "$RESTART_LIBVIRT"
}

has_role() {
    local role
    for role in "${roles[@]}"; do [ "$role" != "$1" ] || return 0; done
    return 1
}

# What apt or dnf installed for us, which uninstall tells of.
keep_package_names() {
    [ -z "$DRY_RUN" ] && [ ${#INSTALLED[@]} != 0 ] || return 0
    printf '%s\n' "${INSTALLED[@]}" >>"$PREFIX/packages"
}

# take_over VERSION ROLE…
take_over() {
    local changes role text='in its place, and started'
    changes="$PREFIX/venv"$'\n'"$COMMAND"$'\n'$(reading_matter)
    for role in "${@:2}"; do
        [ "$role" != host ] || [ -z "$HOOK" ] || changes+=$'\n'"$HOOK"
        ! have_systemd || changes+=$'\n'"$UNITS: ${UNITS_OF[$role]}"
    done
    [ ! -e "$STORE" ] || changes+=$'\n'"$STORE_COPY"
    [ -z "$(version_in venv)" ] || text='in place of what runs here (traffic goes on)'
    on_failure 'journalctl -u zthook-edge -u zthook-agent has more, and what ran before runs again'
    step "$text" "$changes" change_over "$@"
    have_systemd || note 'no systemd here: start zthook agent, or zthook edge serve, by your own means'
}

rollback() {
    local old new
    local -a roles
    need_root rollback
    need_distribution
    old=$(version_in venv)
    new=$(version_in previous)
    if [ -z "$new" ] || [ "$new" = "$old" ]; then
        fail "there is no version before to go back to" "$PREFIX/previous names it after an upgrade"
    fi
    mapfile -t roles < <(roles_here)
    begin "From ${old##*/} back to ${new##*/}"
    start_log
    ! has_role host || choose_hook
    step "the version before in its place, and running (traffic goes on)" "$PREFIX/venv
$PREFIX/previous
the units, the hook, the manual and the completions of that version
$STORE, from $STORE_COPY, where this version can not read it" go_back "$new" "$old" "${roles[@]}"
    next_steps <<'NEXT'
zthook --version says what runs now; another rollback goes forward again.
NEXT
}

# go_back TO FROM ROLE…
go_back() {
    local to=$1 from=$2
    shift 2
    if go_back_to "$to" "$@"; then
        link previous "$from"
        return
    fi
    explain_daemons
    put_in_place "$from" "$@" && run_daemons "$@"
    return 1
}
