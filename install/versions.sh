# shellcheck shell=bash
# Versions side by side in PREFIX/versions, of which PREFIX/venv names the one that runs.
#
# A version is a virtual environment, with the units and the hook that belong to it. A new one is
# whole before anything of the old one is touched, and the old one stays until the next.

PREFIX=/opt/zthook
PACKAGED=/usr/lib/zthook/venv    # where Debian's package has the program
UNITS=/etc/systemd/system
CONFIGURATION=/etc/zthook
STATE=/var/lib/zthook
STORE=$STATE/edge.sqlite
STORE_COPY=$STATE/edge.sqlite.before-upgrade
COMMAND=/usr/local/bin/zthook
MANUAL=/usr/local/share/man
declare -A COMPLETIONS=(
    [bash]=/usr/local/share/bash-completion/completions/zthook
    [zsh]=/usr/local/share/zsh/site-functions/_zthook
    [fish]=/etc/fish/completions/zthook.fish
)
declare -A UNITS_OF=(
    [edge]='zthook-edge-rules.service zthook-edge.service'
    [host]='zthook-agent.socket zthook-agent.service'
)

our_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$SOURCE/pyproject.toml"; }

# version_in LINK: the folder of the version that PREFIX/venv or PREFIX/previous names, or nothing.
version_in() { readlink -e "$PREFIX/$1" || true; }

# roles_here: edge, host or both: what is installed on this machine.
roles_here() {
    local role
    for role in edge host; do
        if grep -qsx $role "$PREFIX/venv/share/zthook/roles" ||
            [ -e "$UNITS/${UNITS_OF[$role]##* }" ]; then
            printf '%s\n' $role
        fi
    done
}

# make_version FOLDER ROLE…: this checkout's version, and nothing of it in its place yet.
# The package brings units, hook and manual along, below share.
make_version() {
    local folder=$1 extras
    shift
    extras=$(IFS=,; printf '%s' "$*")
    { adopt_old_layout && tidy_versions && mkdir -p "$PREFIX/versions" &&
        "$PYTHON" -m venv --system-site-packages "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check "${SOURCE}[$extras]" &&
        own_libvirt_binding "$folder" "$@" &&
        printf '%s\n' "$@" >"$folder/share/zthook/roles" &&
        "$folder/bin/zthook" --version && relabel "$PREFIX"; } || {
        rm -rf "$folder"
        return 1
    }
}

# Where zthook runs by another Python than the system's, the system's binding is of no use to it.
own_libvirt_binding() {
    local folder=$1 role
    shift
    [ "$PYTHON" != /usr/bin/python3 ] || return 0
    for role in "$@"; do
        [ "$role" != host ] ||
            "$folder/bin/pip" install --quiet --ignore-installed --no-deps 'libvirt-python>=9.0'
    done
}

# A virtual environment at PREFIX/venv itself, as made by hand, becomes a version like the others.
adopt_old_layout() {
    local folder=$PREFIX/versions/by-hand
    [ -d "$PREFIX/venv" ] && [ ! -L "$PREFIX/venv" ] || return 0
    mkdir -p "$PREFIX/versions" && rm -rf "$folder" && mv "$PREFIX/venv" "$folder" && link venv "$folder"
}

# What neither runs nor was there before it: versions of installations that broke off.
tidy_versions() {
    local folder
    for folder in "$PREFIX"/versions/*/; do
        folder=${folder%/}
        [ ! -d "$folder" ] || [ "$folder" = "$(version_in venv)" ] ||
            [ "$folder" = "$(version_in previous)" ] || rm -rf "$folder"
    done
}

# link NAME FOLDER: in one step, so that there is no moment without.
link() { ln -sfn "$2" "$PREFIX/$1.new" && mv -T "$PREFIX/$1.new" "$PREFIX/$1"; }

# put_in_place FOLDER ROLE…: this version is what starts from now on. What runs goes on running.
put_in_place() {
    local folder=$1 unit role
    shift
    link venv "$folder" && ln -sfn "$PREFIX/venv/bin/zthook" "$COMMAND" &&
        put_completions && put_manual "$folder" || return 1
    for role in "$@"; do
        [ "$role" != host ] || put_hook "$folder" || return 1
        have_systemd || continue
        for unit in ${UNITS_OF[$role]}; do
            # An old version by hand has no units of its own: those that are there were for it.
            [ ! -e "$folder/share/zthook/$unit" ] ||
                install -m 644 "$folder/share/zthook/$unit" "$UNITS/$unit" || return 1
        done
    done
    ! have_systemd || systemctl daemon-reload
}

# reading_matter: where manual and completions are, a place each line.
reading_matter() { printf '%s\n' "$MANUAL" "${COMPLETIONS[@]}"; }

put_completions() {
    local shell file
    for shell in "${!COMPLETIONS[@]}"; do
        file=${COMPLETIONS[$shell]}
        mkdir -p "${file%/*}" && "$COMMAND" completion "$shell" >"$file" || return 1
    done
}

# put_manual VERSION: its pages, in place of another version's.
put_manual() {
    local page
    remove_manual
    for page in "$1"/share/man/man[157]/zthook*; do
        [ ! -e "$page" ] || install -D -m 644 -t "$MANUAL/man${page##*.}" "$page" || return 1
    done
}

remove_manual() { rm -f "$MANUAL"/man[157]/zthook*; }

# change_over FOLDER ROLE…: another version in place of the one that runs; where one of its daemons
# does not become ready, that one is back. What the kernels forward goes on all the while.
change_over() {
    local new=$1 old
    shift
    old=$(version_in venv)
    if stop_and_copy_store && put_in_place "$new" "$@" && run_daemons "$@"; then
        [ -z "$old" ] || [ "$old" = "$new" ] || link previous "$old"
        return
    fi
    explain_daemons "$@"
    if [ -n "$old" ] && [ "$old" != "$new" ]; then
        echo "back to the version before, $old"
        if go_back_to "$old" "$@"; then
            [ "$new" = "$(version_in previous)" ] || rm -rf "$new"
        else
            echo "and that one does not run either"
        fi
    fi
    return 1
}

# The edge's daemon is at rest while its store is copied, so that the copy is of one moment.
stop_and_copy_store() {
    have_systemd && [ -e "$STORE" ] || return 0
    systemctl stop zthook-edge.service && rm -f "$STORE_COPY" && cp --preserve=all "$STORE" "$STORE_COPY"
}

run_daemons() {
    local role
    have_systemd || return 0
    for role in "$@"; do
        # shellcheck disable=SC2086  # a list of names
        systemctl enable ${UNITS_OF[$role]} && start_role "$role" || return 1
    done
}

start_role() {
    case $1 in
        edge) [ ! -e "$CONFIGURATION/edge.toml" ] || systemctl restart zthook-edge.service ;;
        host) systemctl start zthook-agent.socket && systemctl restart zthook-agent.service ;;
    esac
}

explain_daemons() {
    have_systemd || return 0
    journalctl --no-pager --output=cat -n 12 -u zthook-edge.service -u zthook-agent.service || true
}

go_back_to() {
    local folder=$1
    shift
    ! have_systemd || [ ! -e "$STORE" ] || systemctl stop zthook-edge.service
    put_store_back_for "$folder" && put_in_place "$folder" "$@" && run_daemons "$@"
}

# An older version leaves a store of a newer form alone: it gets the one from before the upgrade.
# The edge then raises its epochs above those that its hosts show it, and they claim again.
put_store_back_for() {
    [ -e "$STORE" ] && [ -e "$STORE_COPY" ] || return 0
    [ "$(store_form "$STORE")" != "$(store_form "$STORE_COPY")" ] || return 0
    rm -f "$STORE-wal" "$STORE-shm" && mv "$STORE" "$STORE.of-the-newer-version" &&
        cp --preserve=all "$STORE_COPY" "$STORE"
}

store_form() {
    "$PYTHON" -c 'import sqlite3, sys
link = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(link.execute("PRAGMA user_version").fetchone()[0])' "$1"
}

# relabel PLACE…: the contexts that SELinux's policy has for these, where it is in use.
relabel() {
    if command -v selinuxenabled >/dev/null && selinuxenabled; then restorecon -RF "$@"; fi
}
