# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
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

load_base() {
	case $BASE in '' | *[!A-Za-z0-9._-]* | .*) die "BASE=$BASE: not a name: one of: $(bases)" ;; esac
	[ -f "$TOP/patches/$BASE/base" ] || die "BASE=$BASE: no patches/$BASE/base: one of: $(bases)"
	SERIES=$TOP/patches/$BASE/series
	[ -f "$SERIES" ] || die "patches/$BASE/series is missing: create it (it may be empty)"
	B=$TOP/build/$BASE	# everything built for this base
	W=$B/linux		# the work tree of `make tree`
	GD=$B/git		# its repository: objects, refs, notes, index
}
bases() { (cd "$TOP/patches" && for i in */base; do printf '%s ' "${i%/base}"; done); }

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
series_date() {
	if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then echo "$SOURCE_DATE_EPOCH"; return; fi
	git -C "$TOP" log -1 --format=%ct 2>/dev/null || G log -1 --format=%ct "$BASE_COMMIT"
}

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

# patches/<base>/<topic>/sent: a line "vN DATE COMMIT MESSAGE-ID BASE..." for each
# version that was mailed. sent TOPIC [V]: the last one, or the last ahead of V.
sent() {
	[ -f "$TOP/patches/$BASE/$1/sent" ] || return 0
	series_lines "$TOP/patches/$BASE/$1/sent" | awk -v v="${2:-999999}" 'substr($1, 2) + 0 < v + 0 { l = $0 } END { if (l) print l }'
}

# Waits until nobody else has the file locked that FD is open on.
wait_lock() { flock -w "$3" "$1" || die "$2 is in use by another make: wait for it to end"; }	# FD WHAT SECONDS

# Locks build/<base> for the seconds that composing, moving and refreshing take.
lock() {
	mkdir -p "$B"
	command -v flock >/dev/null || return 0
	exec 9>"$B/lock"
	wait_lock 9 "build/$BASE" 120
}

# The same for the cache, while something is fetched or built there.
lock_cache() {
	command -v flock >/dev/null || return 0
	mkdir -p "$CACHE"
	exec 8>"$CACHE/lock"
	flock -n 8 || { say "waiting for another make that fills $CACHE"; wait_lock 8 "$CACHE" 1800; }
}

# Runs git out of reach of the terminal's Ctrl-C: for the moments in which a
# half-done job would look like somebody's edits.
uninterrupted() { if command -v setsid >/dev/null; then setsid -w "$@"; else "$@"; fi; }

# The repository of this base, empty but whole, and the objects it borrows.
open_repo() {
	if [ ! -d "$GD" ]; then
		mkdir -p "$B"
		scratch "$B"
		g init -q --bare -b series "$TMP/git"
		g --git-dir="$TMP/git" config core.bare false
		g --git-dir="$TMP/git" config notes.displayRef refs/notes/series
		g --git-dir="$TMP/git" config notes.rewriteRef refs/notes/series
		g --git-dir="$TMP/git" config notes.rewrite.amend true
		g --git-dir="$TMP/git" config notes.rewrite.rebase true
		g --git-dir="$TMP/git" config gc.auto 0
		g --git-dir="$TMP/git" config core.worktree ../linux
		mv -T "$TMP/git" "$GD"
	fi
}
borrow() {
	local a=$GD/objects/info/alternates
	grep -qxF "$1" "$a" 2>/dev/null && return
	touch "$a"
	{ while read -r d; do [ ! -d "$d" ] || echo "$d"; done <"$a"; echo "$1"; } >"$a.new"
	mv "$a.new" "$a"
}

# Fetches or finds the source; afterwards the repository has it.
# Sets BASE_COMMIT, BASE_WHAT (words), BASE_UPSTREAM (1: a commit others have).
open_base() {
	load_base
	local out objects='' shallow=''
	open_repo
	out=$("$S/source") || exit 3
	BASE_COMMIT='' BASE_WHAT='' BASE_UPSTREAM=''
	while IFS='=' read -r k v; do
		case $k in
		objects) objects=$v ;; shallow) shallow=$v ;; commit) BASE_COMMIT=$v ;;
		what) BASE_WHAT=$v ;; upstream) BASE_UPSTREAM=$v ;;
		esac
	done <<<"$out"
	[ -z "$objects" ] || borrow "$objects"
	echo "$BASE_WHAT" >"$GD/series.what"
	if [ -n "$shallow" ] && [ -f "$shallow" ]; then
		sort -u "$shallow" "$GD/shallow" 2>/dev/null >"$GD/shallow.new" || :
		mv "$GD/shallow.new" "$GD/shallow"
	fi
	G cat-file -e "$BASE_COMMIT^{tree}" 2>/dev/null ||
		die "the base's objects are not readable from build/$BASE/git: run make clean, then again"
}

# What keeps build/<base>/linux from being moved or removed; empty if nothing.
unsafe() {
	local r t n what
	[ -d "$GD" ] || return 0
	for r in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
		[ ! -e "$GD/$r" ] || { echo "git is in the middle of something there ($r): finish or abort it"; return; }
	done
	t=$(G rev-parse -q --verify refs/series/taken || :)
	[ -n "$t" ] || return 0
	for r in HEAD $(G for-each-ref --format='%(refname)' refs/heads refs/stash); do
		case $r in refs/heads/series) [ "${1:-}" = all ] || continue ;;
		HEAD) ;; *) [ "${1:-}" = all ] || continue ;; esac
		n=$(G rev-list --count "$r" --not refs/series/taken refs/series/composed 2>/dev/null || echo 0)
		what=$r; [ "$r" != HEAD ] || what=$(G symbolic-ref -q --short HEAD || echo HEAD)
		[ "$n" = 0 ] || { echo "${what#refs/heads/} has $n commit(s) that refresh has not taken: run make refresh BASE=$BASE"; return; }
	done
	[ -d "$W" ] || return 0
	n=$(GIT_OPTIONAL_LOCKS=0 g -C "$W" status --porcelain | head -n1)
	[ -z "$n" ] || echo "uncommitted edits there (${n#???}): commit them and run make refresh BASE=$BASE, or put them back"
}
