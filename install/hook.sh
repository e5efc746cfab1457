# shellcheck shell=bash
# libvirt's hook: where it goes, what it says, and whether libvirt may run it.

HOOKS=/etc/libvirt/hooks
HOOK=''              # where ours goes; nothing: it is left out
HOOK_IS_NEW=''

# hook_text HOOK HOST.TOML: the hook with what that file says, as a hook has nobody to ask.
hook_text() {
    local seconds=''
    [ ! -r "$2" ] || seconds=$(sed -n 's/^ *required_seconds *= *\([0-9.]*\).*/\1/p' "$2")
    sed "s/^required_seconds=.*/required_seconds=${seconds:-5}/" "$1"
}

# choose_hook: sets HOOK and HOOK_IS_NEW, before anything is changed. The hook is ours if it
# carries our mark; anything else there is never overwritten.
choose_hook() {
    HOOK=$HOOKS/qemu.d/zthook
    ! libvirt_is_old || HOOK=$HOOKS/qemu
    if [ -e "$HOOK" ] && ! grep -q 'urn:zthook:1' "$HOOK"; then
        fail "$HOOK is somebody else's hook, so it stays as it is" \
            "call ours from it: $SOURCE/hooks/qemu \"\$@\", or move it away and run this again"
    fi
    if ! selinux_lets_hooks_run; then
        HOOK=''
        note 'SELinux does not let virtqemud run hooks, so ours is left out: with it no guest would start.' \
            "The agent works by libvirt's events; required=\"yes\" is not enforced." \
            '(docs/install-by-hand.md, "SELinux", has what allows it)'
        return
    fi
    [ -e "$HOOK" ] || HOOK_IS_NEW=yes   # libvirtd looks for new hook files only when it starts
}

# Before 6.5 libvirt has one hook file, and no folder of them.
libvirt_is_old() {
    local version
    version=$(virsh --version 2>/dev/null) || return 1
    [ "$(printf '%s\n6.5.0\n' "$version" | sort -V | head -n 1)" != 6.5.0 ]
}

# Asked of the policy itself; libvirtd (Debian, Ubuntu) is under no such policy.
selinux_lets_hooks_run() {
    command -v selinuxenabled >/dev/null && selinuxenabled || return 0
    [ "$(getenforce)" = Enforcing ] || return 0
    selinux_check_access system_u:system_r:virtqemud_t:s0 system_u:object_r:virt_hook_t:s0 file execute
}

# put_hook VERSION: as a whole or not at all, as libvirt may call it at any moment.
put_hook() {
    local text=$1/share/zthook/qemu
    [ -n "$HOOK" ] && [ -e "$text" ] || return 0
    mkdir -p "${HOOK%/*}" && hook_text "$text" "$CONFIGURATION/host.toml" >"${HOOK%/*}/.zthook.new" &&
        chmod 755 "${HOOK%/*}/.zthook.new" && mv "${HOOK%/*}/.zthook.new" "$HOOK" && relabel "$HOOKS"
}

# restart_libvirt YES-OR-NO: where the hook is new to it.
restart_libvirt() {
    local daemon
    [ -n "$HOOK_IS_NEW" ] && [ -n "$HOOK" ] || return 0
    if [ "$1" = no ] || ! have_systemd; then
        note 'libvirt is not restarted: it sees the new hook after its next start;' \
            'until then the agent works by events, and required="yes" is not enforced.'
        return
    fi
    for daemon in libvirtd virtqemud; do
        if systemctl --quiet is-active $daemon.service; then
            on_failure "the agent works by events until then: systemctl restart $daemon"
            step "restart of $daemon (guests keep running)" \
                "it looks for hooks only when it starts" systemctl restart $daemon.service
        fi
    done
}
