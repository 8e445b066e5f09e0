# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2046,SC2010,SC2164 # (set -e) paths of this checkout's mails: no spaces
# The end of selftest, which sources it: git am of what is mailed, on the real base.
# The real series: each topic's mails, on the base and what it needs alone.
real() {	# TOPIC
	local made=$T/real.composed
	TOPIC='' stack compose --topic "$1" >"$made"; [ -s "$made" ] || return 0
	"$S/stack.py" series --topic "$1"
	rm -rf "$T/real"; borrow "$T/real" am; cd "$T/real"
	G diff --name-only "$BASE_COMMIT" "$(tail -n1 "$made" | cut -d' ' -f1)" | sed 's|^|/|' | git sparse-checkout set --no-cone --stdin
	local t; for t in $(TOPIC='' stack needs --topic "$1") "$1"; do git am -q "$TOP/out/$BASE/$t/"0*[1-9]*.patch; done	# (the recipe of README.md)
	[ "$(git rev-parse 'HEAD^{tree}')" = "$(G rev-parse "$(tail -n1 "$made" | cut -d' ' -f1)^{tree}")" ]
	# The base, by its commit or loudly by its name; prerequisites of what it needs, no more.
	local first; first=$(ls "$TOP/out/$BASE/$1/"*.patch | head -n1); grep -qE '^base(-commit)?: ' "$first"
	[ "$(cat "$TOP/out/$BASE/$1/"*.patch | grep -c '^prerequisite-patch-id: ')" = $(($(wc -l <"$made") - $(series_entries "$1" | wc -l))) ]
}
if [ -z "${ONLY:-}" ]; then
	unset LINUX SOURCE_DATE_EPOCH; export BASE=$REAL_BASE CACHE=$REAL_CACHE; open_base
	for topic in $(series_topics); do
		eval "real_$((++R))() { cd '$TOP'; real '$topic'; }"; t "$topic: git am on $BASE and what it needs alone" "real_$R"
	done
fi
