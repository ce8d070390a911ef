"""Asks a Prometheus (or what speaks its API) over HTTP."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request


class Prometheus:
    """One server."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        """The JSON of an answer; an error of the server's is a ValueError with its words."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode(errors="replace")) from error

    def query(self, expression):
        """The series of an instant query."""
        return self.get("/api/v1/query", query=expression)["data"]["result"]

    def number(self, expression):
        """The only value of a query, nothing counting as zero."""
        series = self.query(expression)
        return float(series[0]["value"][1]) if series else 0.0

    def rules(self):
        """Every rule that is loaded."""
        return [rule for group in self.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]


def until(seconds, what, condition):
    """Asks again until the condition holds; its value. A server that isn't there yet is asked again too."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.2)
    raise SystemExit(f"observability: waited {seconds} s in vain: {what} ({last})")
