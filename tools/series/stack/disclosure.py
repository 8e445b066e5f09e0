# SPDX-License-Identifier: GPL-2.0-only
"""What the sender says of tools that helped. Documentation/process/coding-assistants.rst
and generated-content.rst ask for an Assisted-by: trailer and for words in the cover
letter; whether any is due is the sender's to decide, and send REALLY=1 wants to be told.
"""

from pathlib import Path

from .util import die, setting

ASK = ("which tools helped is yours to say (Documentation/process/coding-assistants.rst, generated-content.rst): TRAILERS='Assisted-by: ...',"
       " DISCLOSE=file with a paragraph for the cover letter, or DISCLOSE=none if none is due (nothing was sent)")


def text(said=None):
    """The paragraph of DISCLOSE=file, for the cover letter."""
    said = setting("DISCLOSE") if said is None else said
    if not said or said == "none":
        return ""
    try:
        found = Path(said).read_text(encoding="utf-8").strip("\n")
    except (OSError, UnicodeDecodeError):
        die(f"DISCLOSE={said}: neither none nor a file with a paragraph for the cover letter")
    return found or die(f"DISCLOSE={said}: the file is empty")


def trailers(said=None):
    """The lines of TRAILERS="Token: value; Token: value"."""
    said = setting("TRAILERS") if said is None else said
    return [t.strip() for t in said.split(";") if t.strip()]


def decided():
    assisted = any(t.lower().startswith("assisted-by:") for t in trailers())
    if not setting("DISCLOSE") and not assisted:
        die(ASK)
    if setting("DISCLOSE") == "none" and assisted:
        die("DISCLOSE=none and an Assisted-by: in TRAILERS: one of them (nothing was sent)")
    return text()
