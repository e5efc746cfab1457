# shellcheck shell=bash
# The steps of install.sh, for the packages' scripts.

SOURCE=/usr/lib/zthook
for part in words versions hook uninstall; do
    # shellcheck source=/dev/null
    . "$SOURCE/install/$part.sh"
done
OTHERS_UNITS=/usr/lib/systemd/system

# remove_rules_without UNIT: rules and routes of ours, where nothing else of zthook is here to
# need them: an edge and a host share tables.
remove_rules_without() {
    if [ ! -e "$OTHERS_UNITS/$1" ] && ! remove_kernel_state; then
        echo 'rules of zthook may be left in the kernel until the next start: nft list tables'
    fi
}
