#!/bin/sh
# What a lab's CI does with vsbuild, in plain shell. github.yml and gitlab.yml beside this file call it; so can anything else.
#
#   verify.sh check   are the lockfile's images built as it promises, and does the cache say the same?
#   verify.sh push    the same, and then: sign what was built, and send it to the cache
#
# A report for a person, in Markdown, goes into $VSBUILD_REPORT: what was compared, and the first difference. Exit codes are
# those of vsbuild: 0 all is well, 4 bytes differ, anything else is another failure.
#
# From the environment:
#   VSBUILD            the program; `vsbuild` if not given
#   VSBUILD_CACHE      the cache's address; without it, only the lockfile is compared with
#   VSBUILD_TRUSTED    public keys whose statements count, separated by blanks; with a cache
#   VSBUILD_REBUILD    if not empty, everything is built a second time, under other conditions
#   VSBUILD_SECRET     the text of the secret key that signs; for `push`
#   VSBUILD_REPORT     where the report goes; vsbuild-report.md if not given
# Whoever has a configuration file of their own names it in VSBUILD_CONFIG; then VSBUILD_TRUSTED and VSBUILD_SECRET are not
# looked at.
set -eu

vsbuild=${VSBUILD:-vsbuild}
cache=${VSBUILD_CACHE:-}
report=${VSBUILD_REPORT:-vsbuild-report.md}

case ${1:-} in
    check | push) task=$1 ;;
    *) echo "usage: $0 check|push" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A configuration for this run alone. The key's file must be nobody else's.
configure() {
    umask 077
    {
        echo '[trust]'
        echo 'keys = ['
        for key in ${VSBUILD_TRUSTED:-}; do echo "    \"$key\","; done
        echo ']'
    } >"$work/config.toml"
    if [ -n "${VSBUILD_SECRET:-}" ]; then
        printf '%s\n' "$VSBUILD_SECRET" >"$work/key"
        printf '[sign]\nkey = "key"\n' >>"$work/config.toml"
    fi
    export VSBUILD_CONFIG="$work/config.toml"
}

# Runs a command, shows what it says, and keeps it for the report. Sets $code.
attempt() {
    echo "+ $*" >&2
    code=0
    "$@" >"$work/said" 2>&1 || code=$?
    cat "$work/said" >&2
}

# Puts what the last command said into the report, below a heading.
tell() {
    {
        printf '\n%s\n\n```\n' "$1"
        # Comments have a longest length; what matters stands at the beginning and at the end.
        if [ "$(wc -l <"$work/said")" -gt 80 ]; then
            head -n 40 "$work/said"; echo '[...]'; tail -n 40 "$work/said"
        else
            cat "$work/said"
        fi
        printf '```\n'
    } >>"$report"
}

[ -n "${VSBUILD_CONFIG:-}" ] || configure
printf '## vsbuild: are the images what the lockfile promises?\n' >"$report"

set -- verify
[ -z "${VSBUILD_REBUILD:-}" ] || set -- "$@" --rebuild
[ -z "${VSBUILD_REBUILD:-}" ] || [ "$task" = check ] || set -- "$@" --attest
attempt "$vsbuild" --quiet "$@"
result=$code
if [ "$code" = 0 ]; then
    tell '**Yes.**'
    # One line an image: "NAME: as the lockfile says".
    images=$(sed -n 's/^\([a-z0-9._-]*\): .*/\1/p' "$work/said")
else
    tell "**No** (exit code $code)."
fi

# What others got of the same inputs says where a difference begins, so it is asked even if, and above all if, one was found.
if [ -n "$cache" ] && [ -n "${VSBUILD_TRUSTED:-}" ]; then
    attempt "$vsbuild" --quiet challenge "$cache"
    case $code in
        0) tell 'What others say of it, none of which differs:' ;;
        4) tell '**The first difference from what others got:**' ;;
        5) [ "$task" = push ] || tell 'The cache cannot be reached:' ;;
        *) tell "The cache could not be compared with (exit code $code):" ;;
    esac
    # A cache that is not there yet is no reason not to push to it, and one that is away no fault of a change.
    if [ "$result" = 0 ] && [ "$code" != 5 ]; then result=$code; fi
fi

if [ "$task" = push ] && [ "$result" = 0 ]; then
    [ -n "$cache" ] || { echo "VSBUILD_CACHE says where to push to" >&2; exit 2; }
    for image in $images; do
        attempt "$vsbuild" --quiet cache push "$image" --to "$cache"
        result=$code
        [ "$code" = 0 ] || { tell "**\`$image\` could not be pushed** (exit code $code)."; break; }
    done
    [ "$result" != 0 ] || printf '\nPushed to `%s`.\n' "$cache" >>"$report"
fi
exit "$result"
