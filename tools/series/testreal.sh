# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2164 # (set -e)
# The end of selftest, which sources it. The real series: each topic's mails by git am,
# on the real base and what it needs alone. (Those of stable bases: backport-check.)
real() {	# TOPIC
	[ -n "$(series_entries "$1")" ] || { echo "patches/$BASE/$1/series names no patch: there is nothing to mail"; exit 77; }
	cd "$TOP"
	"$S/stack.py" series --topic "$1" --out "$T/mails"
	am_topic "$1" "$T/mails" "$T/real"
}
none() { echo "patches/$BASE/topics names no topic"; return 1; }
if [ -z "${ONLY:-}" ]; then
	unset LINUX SOURCE_DATE_EPOCH; export BASE=$REAL_BASE CACHE=$REAL_CACHE; open_base
	topics=$(series_topics)
	for topic in $topics; do
		eval "real_$((++R))() { real '$topic'; }"; t "$topic: git am on $BASE and what it needs alone" "real_$R"
	done
	[ -n "$topics" ] || t "git am on $BASE" none
fi
