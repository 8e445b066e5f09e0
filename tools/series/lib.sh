# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here is used by whoever sources it
# What the scripts of tools/series share. Sourced by bash, first thing.
#
# From the environment (the Makefile passes them on): BASE, LINUX, CACHE, JOBS,
# SIGNOFF, TRAILERS, TOPIC, UPDATE.

set -Eeuo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
umask 022
# A git hook or an outer git may have left these behind.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
S=$TOP/tools/series
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pci-surprise-removal}
case $CACHE in /*) ;; *) echo "error: CACHE=$CACHE is a relative path: give an absolute one" >&2; exit 3 ;; esac
BASE=${BASE:-mainline}
JOBS=${JOBS:-$(($(nproc) + 1))}

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 3; }
# Nothing fails in silence: what is not foreseen (3 is die, 129 and up a signal).
trap 'rc=$?; [ $rc = 3 ] || [ $rc -ge 129 ] || say "error: ${BASH_SOURCE[0]##*/}:$LINENO: a command failed ($rc): please report"; exit $rc' ERR

# One scratch directory per process, gone whatever happens.
TMP=
cleanup() { local rc=$?; [ -z "$TMP" ] || rm -rf -- "$TMP"; exit $rc; }
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
scratch() { [ -n "$TMP" ] || { mkdir -p "$1"; TMP=$(mktemp -d "$1/.tmp.XXXXXX"); }; }

# The user's git configuration must not change what is composed. (Their
# identity is read before, by caller_ident.)
g() { GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git "$@"; }
# The same in the repository of this base, whether its work tree is there or not.
G() { g --git-dir="$GD" --work-tree="$B" "$@"; }

# patches/<base>/base: key=value lines, no shell.
base_key() { sed -n "s/^$1=//p" "$TOP/patches/$BASE/base" | sed 's/^"\(.*\)"$/\1/' | head -n1; }

# Sets B, W and GD; refuses a BASE or a TOPIC that there is not.
load_base() {
	stack check-names || exit 3
	B=$TOP/build/$BASE	# everything built for this base
	W=$B/linux		# the work tree of `make tree`
	GD=$B/git		# its repository: objects, refs, notes, index
}
bases() { (cd "$TOP/patches" && for i in */base; do printf '%s ' "${i%/base}"; done); }
# The part of these tools that is Python: tools/series/stack.
stack() { BASE=$BASE "$S/stack.py" "$@"; }
# The patches of BASE, or of one topic of it: BASE/TOPIC/NAME.patch [NEWFILE ...]
series_entries() { TOPIC='' stack entries ${1:+--topic "$1"}; }
series_topics() { TOPIC='' stack topics; }

# Who composes. Sets NAME, EMAIL, and HAVE_IDENT=1 if git was told.
caller_ident() {
	NAME=${GIT_AUTHOR_NAME:-$(git -C "$TOP" config user.name || :)}
	EMAIL=${GIT_AUTHOR_EMAIL:-$(git -C "$TOP" config user.email || printf %s "${EMAIL:-}")}
	HAVE_IDENT=1
	if [ -z "$NAME" ] || [ -z "$EMAIL" ]; then
		NAME=series EMAIL=series@localhost HAVE_IDENT=
	fi
}

# The date of composed commits: composing twice must give the same hashes.
series_date() { TOPIC='' stack date; }

# Lines of a series file without comments: PATCH [NEWFILE ...]
series_lines() { sed 's/#.*//; s/[[:space:]]*$//; s/^[[:space:]]*//; /^$/d' "$1"; }

# picked LIST TOPIC/PATCH: is its topic in the list, or a word of its name? An
# empty list has them all.
picked() {
	local w
	[ -n "$1" ] || return 0
	for w in ${1//,/ }; do
		if [ -d "$TOP/patches/$BASE/$w" ]; then [ "${2%/*}" != "$w" ] || return 0
		elif [[ ${2##*/} = *"$w"* ]]; then return 0; fi
	done
	return 1
}

# Waits until nobody else has the file locked that FD is open on.
wait_lock() { flock -w "$3" "$1" || die "$2 is in use by another make: wait for it to end"; }	# FD WHAT SECONDS
# The same for what may take long: says so first.
wait_long() { flock -n "$1" || { say "waiting for another make that $3 $2"; wait_lock "$1" "$2" 1800; }; }	# FD WHAT DOES

# Locks build/<base> for the seconds that composing, moving and refreshing take.
lock() {
	mkdir -p "$B"
	command -v flock >/dev/null || return 0
	exec 9>"$B/lock"
	wait_lock 9 "build/$BASE" 120
	export STACK_LOCKED=$BASE	# (for the Python that is called meanwhile)
}

# The same for the cache, while something is fetched or built there.
lock_cache() {
	command -v flock >/dev/null || return 0
	mkdir -p "$CACHE"
	exec 8>"$CACHE/lock"
	wait_long 8 "$CACHE" fills
}
# The same, after a look at whether anything can be put there at all.
may_fill_cache() {
	local free
	{ mkdir -p "$CACHE" && : >>"$CACHE/lock"; } 2>/dev/null ||
		die "CACHE=$CACHE cannot be written to: make it writable, or give another CACHE=dir"
	free=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$free" -ge "${CACHE_NEEDS:-700}" ] ||
		die "CACHE=$CACHE has $free MB free, and a kernel's source takes ${CACHE_NEEDS:-700}: make room, or give another CACHE=dir"
	lock_cache
}

# Runs git out of reach of the terminal's Ctrl-C: for the moments in which a
# half-done job would look like somebody's edits.
uninterrupted() { if command -v setsid >/dev/null; then setsid -w "$@"; else "$@"; fi; }

# Fetches or finds the source; afterwards the repository has it.
# Sets BASE_COMMIT, BASE_WHAT (words), BASE_UPSTREAM (1: a commit others have).
open_base() {
	local out k v
	load_base
	out=$(stack open) || exit 3
	BASE_COMMIT='' BASE_WHAT='' BASE_UPSTREAM=''
	while IFS='=' read -r k v; do
		case $k in
		BASE_COMMIT) BASE_COMMIT=$v ;; BASE_WHAT) BASE_WHAT=$v ;; BASE_UPSTREAM) BASE_UPSTREAM=$v ;;
		esac
	done <<<"$out"
}
