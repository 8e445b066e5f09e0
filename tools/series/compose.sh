# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# compose REF [ROOT]: the series on top of the base, in an index only, strictly
# (git apply: no fuzz, no three-way merge). REF is moved at the very end, so
# nothing half-composed is ever taken for whole. Sourced after lib.sh.
# ROOT: where patches/ and the new files are (default: this checkout).
# Sets COMPOSED (commit) and writes $TMP/composed, one line per commit:
# COMMIT PATCH [NEWFILE ...].

# Which hunk git meant: its complaint has the file and the old line only.
apply_failed() {	# PATCH LOG PATCHBODY
	local f='' l='' n
	read -r f l < <(sed -n 's/^error: patch failed: \(.*\):\([0-9]*\)$/\1 \2/p' "$2" | head -n1) || :
	if [ -n "$f" ]; then
		n=$(awk -v f="b/$f" -v l="$l" '$1 == "+++" { n = 0; in_f = ($2 == f) }
			in_f && /^@@ -/ { n++; split(substr($2, 2), a, ","); if (a[1] == l) { print n " (" $1 " " $2 " " $3 " " $4 ")"; exit } }' "$3")
		die "patches/$1: hunk ${n:-at line $l} of $f does not apply to $BASE, $BASE_WHAT: mend the patch (nothing was composed)"
	fi
	die "patches/$1: $(sed -n 's/^error: //p' "$2" | head -n1): mend the patch (nothing was composed)"
}

composed() {	# COMMIT PATCH [NEWFILE ...]: the next one (in compose's variables)
	parent=$1 n=$((n + 1))
	printf '%s\n' "$*" >>"$TMP/composed"
	printf 'N inline %s\ndata %d\n%s\n' "$1" $((${#2} + 1)) "$2" >>"$TMP/notes"
}

compose() {
	local ref=$1 root=${2:-$TOP} line p f parent tree blob mode topic last='' date n=0 args
	local -A topics=() brought=() used=() memo=()
	local key made common
	scratch "$B"
	caller_ident
	date="$(series_date) +0000"
	export GIT_DIR=$GD GIT_WORK_TREE=$B GIT_INDEX_FILE=$TMP/index
	rm -f "$GIT_INDEX_FILE"; : >"$TMP/composed"; : >"$TMP/notes"
	parent=$BASE_COMMIT
	# What was composed from the same inputs on the same parent is not composed
	# again. The key holds all that goes in, this script too.
	common="$NAME $EMAIL $date $(sha256sum <"$S/compose.sh")"
	[ "$ref" != mails ] || common+="${SIGNOFF:+ signed}${TRAILERS:+ $TRAILERS}"
	if [ -f "$GD/series.memo" ]; then while read -r key made; do memo[$key]=$made; done <"$GD/series.memo"; fi
	while read -r line; do
		# shellcheck disable=SC2086 # words, on purpose
		set -f; set -- $line; set +f
		p=$1; shift
		case $p in
		*/../* | ../* | /* | */*/*/*) die "patches/$BASE/series: $p: not of the form base/topic/name.patch" ;;
		*/*/*.patch) ;;
		*) die "patches/$BASE/series: $p: not of the form base/topic/name.patch" ;;
		esac
		[ -f "$root/patches/$p" ] || die "patches/$BASE/series names patches/$p, which does not exist: add it or remove the line"
		[ -z "${used[$p]:-}" ] || die "patches/$BASE/series names $p twice: remove one line"
		used[$p]=1
		topic=${p#*/} topic=${topic%/*}
		if [ "$topic" != "$last" ]; then
			[ -z "${topics[$topic]:-}" ] || die "patches/$BASE/series: $p: the patches of topic $topic do not stand together: move the line"
			topics[$topic]=1 last=$topic
		fi

		for f; do
			if [ -L "$root/$f" ] || [ ! -f "$root/$f" ]; then
				die "patches/$BASE/series: $p brings $f, which is not a file of this repository: add it or remove its name"
			fi
		done
		key=$({ printf '%s\n' "$common $parent $p"; cd "$root" && stat -c '%A %n' "$@" "patches/$p" && sha256sum "$@" "patches/$p"; } | sha256sum)
		key=${key%% *} made=${memo[$key]:-}
		if [ -n "$made" ] && g cat-file -e "$made^{tree}" 2>/dev/null; then
			for f; do brought[$f]=$p; done
			composed "$made" "$p" "$@"
			rm -f "$GIT_INDEX_FILE"
			continue
		fi
		[ -f "$GIT_INDEX_FILE" ] || g read-tree "$parent"

		g mailinfo -b --no-scissors --encoding=UTF-8 "$TMP/msg" "$TMP/diff" <"$root/patches/$p" >"$TMP/info" 2>"$TMP/log" ||
			die "patches/$p: git mailinfo cannot read it: it must begin with Subject:, an empty line, the message and ---"
		# -b keeps other [tags]; the folded subject comes as one line.
		grep -q '^Subject: .' "$TMP/info" || die "patches/$p has no Subject: line: add one"
		{ sed -n 's/^Subject: //p' "$TMP/info"; echo; cat "$TMP/msg"; } | g stripspace >"$TMP/message"
		if [ "$ref" = mails ]; then add_trailers; fi

		if grep -q '^new file mode' "$TMP/diff"; then
			die "patches/$p creates a file: put it whole at its path in the repository, and name it on the patch's line in patches/$BASE/series"
		fi
		if grep -q '^diff --git' "$TMP/diff"; then
			f=$(g apply --numstat "$TMP/diff" 2>"$TMP/log" | cut -f3-) || apply_failed "$p" "$TMP/log" "$TMP/diff"
			while read -r f; do
				[ -z "${brought[$f]:-}" ] || die "patches/$p changes $f, which $(basename "${brought[$f]}") brings: a new file arrives whole, in one commit"
			done <<<"$f"
			g apply --cached -v --whitespace=nowarn --no-ignore-whitespace "$TMP/diff" 2>"$TMP/log" ||
				apply_failed "$p" "$TMP/log" "$TMP/diff"
		fi
		args=
		for f; do
			[ -z "$(g ls-files -- ":(literal)$f")" ] || die "patches/$BASE/series: $p brings $f, but the kernel already has it: change it in the patch instead"
			brought[$f]=$p
			blob=$(g hash-object -w --no-filters "$root/$f")
			mode=100644; [ ! -x "$root/$f" ] || mode=100755
			args+="$mode $blob	$f"$'\n'
		done
		[ -z "$args" ] || printf %s "$args" | g update-index --add --index-info
		tree=$(g write-tree)
		[ "$tree" != "$(g rev-parse "$parent^{tree}")" ] || die "patches/$p changes nothing: remove its line from patches/$BASE/series"
		made=$(
			export GIT_AUTHOR_NAME=$NAME GIT_AUTHOR_EMAIL=$EMAIL GIT_AUTHOR_DATE=$date
			export GIT_COMMITTER_NAME=$NAME GIT_COMMITTER_EMAIL=$EMAIL GIT_COMMITTER_DATE=$date
			if grep -q '^Email: ' "$TMP/info"; then
				GIT_AUTHOR_NAME=$(sed -n 's/^Author: //p' "$TMP/info")
				GIT_AUTHOR_EMAIL=$(sed -n 's/^Email: //p' "$TMP/info")
			fi
			g commit-tree -p "$parent" -F "$TMP/message" "$tree")
		echo "$key $made" >>"$GD/series.memo"
		composed "$made" "$p" "$@"
	done < <(series_lines "$root/patches/$BASE/series")
	COMPOSED=$parent COUNT=$n
	unset GIT_INDEX_FILE
	case $ref in mails | series) g update-ref "refs/series/$ref" "$COMPOSED" ;; esac
	unset GIT_DIR GIT_WORK_TREE
}

add_trailers() {
	local t args=()
	if [ -n "${SIGNOFF:-}" ]; then args+=(--trailer "Signed-off-by: $NAME <$EMAIL>"); fi
	while IFS= read -r t; do
		t=$(sed 's/^ *//; s/ *$//' <<<"$t")
		[ -z "$t" ] || args+=(--trailer "$t")
	done < <(printf '%s' "${TRAILERS:-}" | tr ';' '\n'; echo)
	[ ${#args[@]} = 0 ] || g interpret-trailers --in-place --if-exists addIfDifferent "${args[@]}" "$TMP/message"
}

# Which patch each commit is: a note, which amend and rebase carry along.
write_notes() {	# FILE in the form of $TMP/notes
	[ -s "$1" ] || return 0
	{
		printf 'commit refs/notes/series\ncommitter series <series@localhost> 0 +0000\ndata 0\n'
		! G rev-parse -q --verify refs/notes/series >/dev/null || echo 'from refs/notes/series^0'
		cat "$1"
	} | G fast-import --quiet
}

# What the tree was made of, so that refresh knows an edit made since in patches/.
fingerprint() {	# ROOT: lines of "sha256  path"
	(cd "$1" && { echo "patches/$BASE/series"; series_lines "patches/$BASE/series" | while read -r p rest; do
		echo "patches/$p"; printf '%s\n' $rest; done; } | grep . | sort -u | xargs -d '\n' sha256sum)
}
