# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# How kernels are configured and built here. Sourced after lib.sh.

# What parses is a Python package.
review() { PYTHONPATH=$S PYTHONDONTWRITEBYTECODE=1 python3 -m review --base "$BASE" "$@"; }	# COMMAND...

# Each of the chosen topics by itself, on what it needs: DIR/composed.TOPIC, lines
# COMMIT PATCH of it and what it needs. Sourced after compose.sh.
composed_topics() {	# DIR
	local t names
	names=$(review topics) || exit 3
	lock
	for t in $names; do
		compose check "$t"
		cut -d' ' -f1,2 "$TMP/composed" >"$1/composed.$t"
	done
	exec 9>&-	# composed: the rest only reads
}

# Make hands its own flags down: a kernel build is not part of them.
unset MAKEFLAGS MFLAGS MAKELEVEL KBUILD_OUTPUT

# The same source gives the same image, whoever builds it, and no .git is asked.
# For another architecture: KARCH, KCROSS.
KARCH='' KCROSS=''
kmake() {	# SRC OUT ARG...
	local src=$1 out=$2; shift 2
	make -C "$src" O="$out" ARCH="${KARCH:-x86_64}" ${KCROSS:+CROSS_COMPILE="$KCROSS"} LOCALVERSION= KBUILD_BUILD_TIMESTAMP='Thu Jan 1 00:00:00 UTC 1970' \
		KBUILD_BUILD_USER=series KBUILD_BUILD_HOST=localhost KBUILD_BUILD_VERSION=1 -j"$JOBS" "$@" </dev/null
}

# progress WHAT LOG DIR|- COMMAND...: while the command runs, a line every 30 s on
# stderr, wherever the command's own goes: how many objects were compiled, by LOG or
# by what is new in DIR, and for how long. Ends as the command does.
exec {PROGRESS}>&2
progress() {
	local what=$1 log=$2 dir=$3 fd ticks rc=0; shift 3
	# (It ends when nobody has the other end of its stdin open, whatever became of us.)
	exec {fd}> >(progress_ticks "$what" "$log" "$dir" >&"$PROGRESS" 2>&1)
	ticks=$!
	eval '"$@"' "$fd>&-" || rc=$?
	exec {fd}>&-
	wait "$ticks" || :
	return $rc
}
progress_ticks() {
	local n rc since=$EPOCHSECONDS start=$SECONDS
	trap - ERR
	while rc=0; read -rt "${PROGRESS_EVERY:-30}" || rc=$?; [ $rc -gt 128 ]; do
		if [ "$3" = - ]; then n=$(grep -cE '^ +(CC|AS|HOSTCC) ' "$2" 2>/dev/null) || :
		else n=$(find "$3" -name '*.o' -newermt "@$since" 2>/dev/null | wc -l) || :; fi
		[ "${n:-0}" = 0 ] && n= || n="$n objects compiled, "
		echo "$1: $n$((SECONDS - start)) s"
	done
}

# What a compiler says of the sources in DIR, without what moves: line numbers.
normalise() { sed -E 's/:[0-9]+(:[0-9]+)?(:| )/:/g; s/\(see line [0-9]+\)//; s/[[:space:]]+$//; s|'"$1/||g; s|\.\./${1##*/}/||g"; }	# DIR

# A second checkout, without .git: build/<base>/NAME at COMMIT, exactly, and for
# nobody else until we are done: another make would change it under a compiler.
declare -A HELD=()
checkout() {	# NAME COMMIT
	local d=$B/$1 i=$B/$1.index fd
	scratch "$B"
	if [ -z "${HELD[$1]:-}" ] && command -v flock >/dev/null; then
		exec {fd}>"$d.lock"
		wait_lock "$fd" "build/$BASE/$1" 120
		HELD[$1]=1
	fi
	if [ -d "$d" ] && [ -f "$i" ]; then
		GIT_INDEX_FILE=$i g --git-dir="$GD" --work-tree="$d" update-index -q --refresh >/dev/null || :
		GIT_INDEX_FILE=$i g --git-dir="$GD" --work-tree="$d" diff-files --quiet ||
			die "build/$BASE/$1 was edited by hand; it is only a copy: save your edits and remove it"
	else
		rm -rf "$d" "$i"
		say "checking out build/$BASE/$1"
		mkdir "$TMP/$1"
		GIT_INDEX_FILE=$TMP/$1.index g --git-dir="$GD" --work-tree="$TMP/$1" read-tree -u --reset "$2"
		mv "$TMP/$1.index" "$i"; mv -T "$TMP/$1" "$d"
		return
	fi
	GIT_INDEX_FILE=$i uninterrupted env GIT_CONFIG_GLOBAL=/dev/null git --git-dir="$GD" --work-tree="$d" read-tree -u --reset "$2"
}

# tinyconfig plus fragments; every line of them must have taken effect, except
# that a line marked "# optional" may name what this base does not have.
configure() {	# SRC OUT FRAGMENT...
	local src=$1 out=$2 bad; shift 2
	mkdir -p "$out"
	cat "$@" | sed 's/[[:space:]]*# optional$//' >"$out.fragment"
	{
		kmake "$src" "$out" tinyconfig &&
		(cd "$src" && scripts/kconfig/merge_config.sh -m -O "$out" "$out/.config" "$out.fragment") &&
		kmake "$src" "$out" olddefconfig
	} >"$out.config.log" 2>&1 || die "the kernel cannot be configured ($(grep -v '^make' "$out.config.log" | tail -n1)): see ${out#"$TOP/"}.config.log"
	bad=$(review config-missing "$out/.config" "$@") || exit 3
	[ -z "$bad" ] || die "the configuration did not take: $bad: see the dependencies of these in Kconfig"
}
# The lab's kernel of SRC, and one case (device.scenario) of the lab on it, or some
# points of the sweep (device.phase.dying@POINTS): what it says is OUT.ktap. Fails
# as the lab does: 1, something failed; more, no run.
lab_kernel() { progress "${2##*/}" "$2.log" - configured_image "$1" "$2" >"$2.log" 2>&1; }	# SRC OUT
configured_image() (configure "$1" "$2" "$TOP/tools/lab/kernel.config" && kmake "$1" "$2" bzImage)
lab_case() {	# OUT CASE ARG...
	local out=$1 case=$2 device what dying points=${2#*@}
	IFS=. read -r device what dying <<<"${2%@*}"
	shift 2
	if [ -n "$dying" ]; then set -- sweep --phases "$what" --dying "$dying" --points "$points" "$@"
	else set -- lab --scenarios "$what" "$@"; fi
	progress "${out##*/}: $case" "$out.ktap" - "$TOP/tools/lab/$1" --kernel "$out/arch/x86/boot/bzImage" --devices "$device" \
		--mmio ones --jobs 1 --log-dir "$out.lab" "${@:2}" >"$out.ktap" 2>&1
}
