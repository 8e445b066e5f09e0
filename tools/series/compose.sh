# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here is used by whoever sources it
# compose check [TOPIC] [ROOT]: all topics on top of the base, or one topic on the
# base and what it needs, as commits (tools/series/stack). No branch is moved.
# Sourced after lib.sh, called after open_base. ROOT: where patches/ and the new
# files are (default: this checkout).
# Sets COMPOSED (the last commit) and COUNT, and writes $TMP/composed, one line
# per commit: COMMIT BASE/TOPIC/NAME.patch [NEWFILE ...].
compose() {
	scratch "$B"
	BASE_COMMIT=$BASE_COMMIT BASE_WHAT=$BASE_WHAT TOPIC='' \
		stack compose ${2:+--topic "$2"} ${3:+--root "$3"} >"$TMP/composed" || exit 3
	COUNT=$(wc -l <"$TMP/composed")
	COMPOSED=$(tail -n1 "$TMP/composed") COMPOSED=${COMPOSED%% *}
	COMPOSED=${COMPOSED:-$BASE_COMMIT}
}
