# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What is mailed, and git am: for selftest and backport-check. Sourced after lib.sh.

# borrow DIR BRANCH: a repository with the objects of the base, after open_base, and the
# base's commit checked out, without a file of it.
borrow() {
	g init -q "$1"; mkdir -p "$1/.git/objects/info"
	{ cat "$GD/objects/info/alternates"; echo "$GD/objects"; } >"$1/.git/objects/info/alternates"
	[ ! -f "$GD/shallow" ] || cp "$GD/shallow" "$1/.git/shallow"
	g -C "$1" sparse-checkout set --no-cone nothing; g -C "$1" checkout -q -b "$2" "$BASE_COMMIT"
}

# am_topic TOPIC MAILS DIR: git am of MAILS/TOPIC (make series), on the base and the mails
# of what it needs alone, makes the tree that is composed; and the mails say what they
# rest on: the base, and a prerequisite for each patch of what it needs, no more.
am_topic() {
	local topic=$1 mails=$2 dir=$3 t composed below n
	local who=(env GIT_COMMITTER_NAME=am GIT_COMMITTER_EMAIL=am@localhost)
	composed=$(BASE_COMMIT=$BASE_COMMIT BASE_WHAT=$BASE_WHAT TOPIC='' stack compose --topic "$topic") || exit 3
	[ -n "$composed" ] || die "$topic composes to nothing"
	below=$(($(wc -l <<<"$composed") - $(series_entries "$topic" | wc -l)))
	composed=$(tail -n1 <<<"$composed") composed=${composed%% *}
	rm -rf "$dir"; borrow "$dir" am
	G diff --name-only --no-renames "$BASE_COMMIT" "$composed" | sed 's|^|/|' | g -C "$dir" sparse-checkout set --no-cone --stdin
	for t in $(TOPIC='' stack needs --topic "$topic") "$topic"; do
		# (The recipe of README.md.)
		GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "${who[@]}" git -C "$dir" am -q "$mails/$t/"0*[1-9]*.patch >"$dir.log" 2>&1 ||
			die "git am does not take the mails of $t for $topic: $(grep -m1 -E '^(error|fatal): ' "$dir.log" || tail -n1 "$dir.log")"
	done
	[ "$(g -C "$dir" rev-parse 'HEAD^{tree}')" = "$(G rev-parse "$composed^{tree}")" ] ||
		die "git am of the mails of $topic makes another tree than composing does: $(g -C "$dir" diff --stat "$composed" | tail -n1)"
	set -- "$mails/$topic/"*.patch
	grep -qE '^base(-commit)?: ' "$1" || die "${1##*/} of $topic says no base"
	n=$(cat "$@" | grep -c '^prerequisite-patch-id: ') || :
	[ "$n" = $below ] || die "the mails of $topic name $n prerequisites, and what it needs has $below patches"
}
