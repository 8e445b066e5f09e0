# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # for who sources it
# What the tests of tools/series share. Sourced after lib.sh: cases run in a copy
# of this checkout, $T/co, with nothing of the caller's around. TAP on stdout.
. "$S/am.sh"
scratch "${TMPDIR:-/tmp}"
T=$TMP
unset JOBS KASAN DEVICES SCENARIOS MMIO MACHINES LINUX TOPIC SIGNOFF TRAILERS UPDATE PRISTINE KERNEL V REALLY MBOX MAKEFLAGS MFLAGS MAKELEVEL
unset XDG_CONFIG_HOME XDG_CACHE_HOME GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL EMAIL
export HOME=$T/home GIT_EDITOR=: GIT_SEQUENCE_EDITOR=: GIT_CONFIG_NOSYSTEM=1
mkdir -p "$HOME" "$T/bin" "$T/co"
git config --global user.name 'A Tester'; git config --global user.email tester@localhost
git config --global init.defaultBranch main; git config --global advice.detachedHead false

N=0 R=0 passed=0 failed=0
t() {	# NAME FUNCTION
	local rc start=$SECONDS
	N=$((N + 1))
	[[ $N =~ ^(${ONLY:-.*})$ ]] || return 0
	# (Not in an "if": there set -e would mean nothing.)
	set +e; trap - ERR
	(trap 'echo "failed: line $LINENO: $BASH_COMMAND" >&2' ERR; trap - EXIT; set -Eeuo pipefail; cd "$T/co"; "$2") >"$T/log" 2>&1 </dev/null
	rc=$?
	set -e
	case $rc in 129 | 130 | 143) exit $rc ;; esac	# told to end
	if [ $rc = 77 ]; then
		echo "ok $N - $1 # SKIP $(tail -n1 "$T/log")"
	elif [ $rc = 0 ]; then
		passed=$((passed + 1)); echo "ok $N - $1 # $((SECONDS - start)) s"
	else
		failed=$((failed + 1)); echo "not ok $N - $1 # $((SECONDS - start)) s"; tail -n 20 "$T/log" | sed 's/^/# /'
	fi
}
# fails TEXT COMMAND...: it must fail with exactly one error line, holding TEXT.
fails() {
	local want=$1 out; shift
	! out=$(trap - ERR; "$@" 2>&1) || { echo "should have failed: $*"; return 1; }
	printf '%s\n' "$out"
	[ "$(grep -c '^error: ' <<<"$out")" = 1 ] && grep '^error: ' <<<"$out" | grep -qF -- "$want" || { echo "expected: $want"; return 1; }
}
# no COMMAND...: it must fail. (set -e takes no notice of what is behind a "!".)
no() { ! "$@" || { echo "should have failed: $*"; return 1; }; }
