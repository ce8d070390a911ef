"""Finds the metrics that a PromQL expression names, well enough to tell a metric that doesn't exist."""

import re

STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\b\s*\([^)]*\)")
RANGES = re.compile(r"\[[^\]]*\]")
COMMENTS = re.compile(r"#.*")
WORDS = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*")
KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool", "inf", "nan", "atan2"}


def metrics(expression):
    """The names of metrics and recorded series in an expression."""
    text = COMMENTS.sub("", STRINGS.sub('""', expression))
    text = RANGES.sub("", GROUPING.sub("", text))
    text = re.sub(r"\{[^}]*\}", "{}", text)
    found = set()
    for word in WORDS.finditer(text):
        after = text[word.end():].lstrip()
        is_call = after.startswith("(") or (after.startswith(("by", "without")) and not after[:1] == "{")
        if word.group().lower() not in KEYWORDS and not is_call:
            found.add(word.group())
    return found


def known(listed):
    """Every series name of the metrics that the services register."""
    names = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
    for metric in listed:
        endings = ("_bucket", "_sum", "_count") if metric["type"] == "histogram" else ("",)
        names.update(metric["name"] + ending for ending in endings)
    return names
