# shellcheck shell=bash
# uninstall: takes away what host and edge put there, and what the daemons put into the kernel.

LATER=()    # what is left for somebody to do by hand

uninstall() {
    local unit hook left='' purge=$1 scratch
    need_root uninstall
    begin 'Removing zthook'
    scratch=$(mktemp -d)
    LOG=$scratch/uninstall.log
    if { [ -e "$STATE/credential.json" ] || [ -e "$STATE/entry.json" ]; } && command -v zthook >/dev/null; then
        step "this host leaves its edge" "its guests' public addresses; $STATE/credential.json
the ZeroTier network and moon that zthook join took it into; $STATE/entry.json" leave_edge
    elif [ -e "$STATE/credential.json" ]; then
        LATER+=("the edge was not told, as there is no command zthook here any more; $(removing_this_host)")
    fi
    for unit in zthook-agent.socket zthook-agent.service zthook-edge.service zthook-edge-rules.service; do
        [ ! -e "$UNITS/$unit" ] || step "$unit" "$UNITS/$unit" remove_unit "$unit"
    done
    for hook in "$HOOKS/qemu.d/zthook" "$HOOKS/qemu"; do
        if grep -qs 'urn:zthook:1' "$hook"; then step "the hook" "$hook" remove_hook "$hook"; fi
    done
    if zerotier_is_changed; then
        step "zerotier-one's settings" "local.conf of zerotier-one" restore_zerotier
    fi
    step "rules and routes of ours" "tables zthook and zthook_host, rules with our comment, routes and policy rules of protocol 123" remove_kernel_state
    [ ! -e "$PREFIX/packages" ] || left=$(tr '\n' ' ' <"$PREFIX/packages")
    step "the program" "$PREFIX"$'\n'"$COMMAND"$'\n'"$(reading_matter)"$'\n'/run/zthook remove_program
    if [ -n "$purge" ]; then
        step "configuration, keys and store" "$CONFIGURATION"$'\n'"$STATE" rm -rf "$CONFIGURATION" "$STATE"
    elif [ -e "$CONFIGURATION" ] || [ -e "$STATE" ]; then
        note "$CONFIGURATION and $STATE stay (--purge removes them)"
    fi
    [ -z "$left" ] || note "packages that came with it stay: $left"
    rm -rf "$scratch"
    [ -n "$DRY_RUN" ] || printf 'Gone. Annotations in guests'\'' XML do nothing without it.\n'
    [ ${#LATER[@]} != 0 ] || LATER=("nothing; ./install.sh host or edge brings it back.")
    next_steps <<<"$(printf '%s\n' "${LATER[@]}")"
}

remove_kernel_state() {
    local command family owner
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
        for owner in 123 124; do
            ip $family neigh flush nud permanent proto $owner 2>/dev/null || true
        done
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

# Without an edge that answers it leaves all the same.
leave_edge() {
    local why removing
    removing=$(removing_this_host)
    if why=$(zthook leave 2>&1 >>"$LOG"); then return; fi
    printf '%s\n' "$why"
    why=${why%%$'\n'*}
    if [ -e "$STATE/credential.json" ]; then
        LATER+=("the edge was not told (${why%; nothing was changed}); $removing")
    fi
    if [ -e "$STATE/credential.json" ] || [ -e "$STATE/entry.json" ]; then
        if why=$(zthook leave --force 2>&1 >>"$LOG"); then return; fi
        printf '%s\n' "$why"
    fi
    LATER+=("zthook leave failed (${why%%$'\n'*}); ZeroTier networks that this machine is in: zerotier-cli listnetworks")
}

removing_this_host() {
    local name
    name=$(sed -nE 's/.*"host": *"([^"]*)".*/\1/p' "$STATE/credential.json" 2>/dev/null || true)
    printf 'it keeps this host'\''s addresses until its lease'\''s grace is over; to end that at once, there: zthook edge host remove %s' "${name:-NAME}"
}

zerotier_is_changed() { compgen -G "$STATE/*-local.conf.json" >/dev/null; }

# Bonds in use stay until it is restarted, which cuts the overlay: not ours to do.
restore_zerotier() {
    zthook restore || LATER+=('zerotier-one'\''s local.conf could not be put back: take "zthook" out of it')
}

remove_unit() {
    if have_systemd; then systemctl disable --now "$1"; fi
    rm -f "$UNITS/$1"
    if have_systemd; then systemctl daemon-reload; fi
}

remove_hook() {
    rm -f "$1"
    rmdir --ignore-fail-on-non-empty "$HOOKS/qemu.d" 2>/dev/null || true
}

remove_program() {
    rm -rf "$PREFIX" /run/zthook
    rm -f "$COMMAND"
    remove_reading_matter
}

# And the folders that may be there for nothing else.
remove_reading_matter() {
    local file
    remove_manual
    rmdir --ignore-fail-on-non-empty "$MANUAL"/man[157] 2>/dev/null || true
    for file in "${COMPLETIONS[@]}"; do
        rm -f "$file"
        rmdir --ignore-fail-on-non-empty "${file%/*}" "${file%/*/*}" 2>/dev/null || true
    done
}
