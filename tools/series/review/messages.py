# SPDX-License-Identifier: GPL-2.0-only
"""review messages: topics, messages and trailers against the rules.

One line for each topic and each patch, and one for each commit that
fixes.known has, of which the source of the base must bear the signs. Nothing
is composed or compiled for it.
"""

from . import generated, known, prove, rules, trailers
from .layout import TOP, Base, bases, git, message_of
from .tap import Verdicts


class Source:
    """Files of the base, by git"""

    def __init__(self, git_dir, commit):
        self.git_dir, self.commit = git_dir, commit

    def text(self, path):
        return git(self.git_dir, "show", f"{self.commit}:{path}", check=False)


class Review:
    def __init__(self, base, entries, stable_bases, out=None):
        self.base, self.entries, self.stable = base, entries, stable_bases
        self.exceptions = rules.Exceptions(base)
        self.verdicts = Verdicts(out)
        self.titles = {title for b in (base, *map(Base, bases()))
                       for title in b.titles()}

    def hold(self, label, complaints):
        """Those that no exception takes, and the reasons of the others"""
        bad, why = [], []
        for rule, text in complaints:
            reason = self.exceptions.allow(rule, label)
            if reason:
                why.append(f"{rule}: {text}; let in: {reason}")
            else:
                bad.append(f"{rule}: {text}")
        return bad, why

    def topic(self, topic):
        numbers = [("numbers", f"of the cover, not of results/: {line}")
                   for line in generated.own_numbers(topic.cover)]
        self.verdicts.add(f"topic {topic.name}: {len(topic.patches)} patches",
                          *self.hold(topic.name, [
                              *rules.of_topic(topic),
                              *rules.of_titles(topic, self.titles),
                              *numbers]))

    def patch(self, patch):
        message = message_of(patch)
        said = trailers.Trailers(message, self.entries, self.base.name)
        backport = known.NUMBERED.fullmatch(self.base.name)
        bad, why = self.hold(patch.label, rules.of_patch(
            patch, message, said, self.base.topics[patch.topic], backport))
        if not backport:
            bad += trailers.missing(patch.label, said, self.stable)
        self.verdicts.add(": ".join(filter(None, [patch.label,
                                                  ", ".join(said.said)])),
                          said.bad + bad, why)

    def signs(self, source):
        for entry in self.entries.values():
            has, bad = entry.in_base(self.base.name), []
            for path, text in entry.signs:
                if (text in source.text(path)) != has:
                    bad.append(
                        "fixes.known has it in "
                        f"{'v' + entry.tag if has else 'later versions only'}"
                        f", but {path} of {self.base.name} "
                        f"{'lacks' if has else 'has'}: {text}")
            if not entry.signs:
                bad.append("nothing is named that is in the source if the "
                           "commit is")
            self.verdicts.add(
                f"{entry.sha} is {'' if has else 'not '}in {self.base.name}"
                + (" (release derived, not looked up)" if entry.doubt else
                   ""), bad)

    def left_out(self):
        have = {p.name for p in self.base.patches()}
        for label in sorted(self.base.noted("left-out")):
            self.verdicts.add(
                f"{label} is left out of {self.base.name}",
                ["a topic has it"] * (label.split("/", 1)[-1] in have))

    def proofs(self):
        if self.base.name == "mainline":
            self.verdicts.add("prove.lab and undo/ name patches",
                              list(prove.unknown(self.base)))

    def tables(self, top):
        """What make report writes into covers and pages is as it writes it"""
        for name, bad, warn in generated.check(self.base, top):
            self.verdicts.add(f"{name}: as make report writes it", bad, warn)


def run(args):
    base = Base(args.base)
    stable = [Base(name) for name in bases() if name.endswith(".y")]
    review = Review(base, known.read(TOP / "tools/series/fixes.known"),
                    stable)
    chosen = base.chosen(args.topic, args.patch)
    whole = not args.topic and not args.patch
    labels = {p.label for p in chosen}
    for topic in base.topics.values():
        mine = [p for p in chosen if p.topic == topic.name]
        if not args.patch and (mine or whole):
            review.topic(topic)
            labels.add(topic.name)
        for patch in mine:
            review.patch(patch)
    if whole:
        review.signs(Source(args.git_dir, args.commit))
        review.left_out()
        review.proofs()
        review.tables(TOP)
    unused = review.exceptions.unused(
        set(k.split(" ", 1)[-1] for k in review.exceptions.reasons)
        if whole else labels if not args.patch else set())
    if unused or whole:
        review.verdicts.add("every exception is needed",
                            [f"patches/{base.name}/exceptions: {key}: "
                             "nothing is held against it: remove the line"
                             for key in unused])
    return review.verdicts.end()
