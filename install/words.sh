# shellcheck shell=bash
# What install.sh says: errors with a hint, steps with their time, and with --dry-run the plan.

DRY_RUN=''           # yes: each step is said, and none is taken
STEPS=0
HINT=''              # what to do where the next step fails: on_failure
LOG=/dev/null

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# wrong WHAT: the command line is no use; exit code 2, as of every command of ours.
wrong() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 2
}

# on_failure TEXT: the hint of the next step, should it fail.
on_failure() { HINT=$1; }

# step TEXT CHANGES COMMAND…: one line a step, with its time; what it prints goes to the log.
# CHANGES says what is not as before when it is done, a place each line.
step() {
    local text=$1 changes=$2 begun ended hint=$HINT
    shift 2
    HINT=''
    STEPS=$((STEPS + 1))
    if [ -n "$DRY_RUN" ]; then
        printf '%3d. %s\n' $STEPS "$text"
        printf '%s\n' "$changes" | sed '/./s/^/       /'
        return
    fi
    printf '  %-58s' "$text"
    begun=$(date +%s%N)
    if ! "$@" >>"$LOG" 2>&1; then
        printf 'failed\n\n'
        tail -n 15 "$LOG" >&2
        fail "\"$text\" failed" "${hint:+$hint; }everything it printed is in $LOG"
    fi
    ended=$(date +%s%N)
    printf '%5d.%d s\n' $(((ended - begun) / 1000000000)) $(((ended - begun) / 100000000 % 10))
}

# begin TEXT: what this run is about, and how far it can be trusted.
begin() {
    [ -z "$UNTRIED" ] || printf 'Note: %s.\n' "$UNTRIED"
    if [ -n "$DRY_RUN" ]; then
        printf '%s: the plan, of which nothing is done\n' "$1"
    else
        printf '%s\n' "$1"
    fi
}

# note TEXT…: a line that is no step.
note() { printf '  %s\n' "$@"; }

# next_steps: what to do now, from stdin; after a plan, how to carry it out.
next_steps() {
    if [ -z "$DRY_RUN" ]; then
        printf '\nNext: %s\n' "$(cat)"
    elif [ $STEPS = 0 ]; then
        printf '  nothing is to be done\n'
    else
        printf '\nNext: the same without --dry-run does it.\n'
    fi
}

need_root() {
    [ "$(id -u)" = 0 ] || fail "install.sh $1 must run as root" "sudo ./install.sh $1"
}

have_systemd() { [ -d /run/systemd/system ]; }
