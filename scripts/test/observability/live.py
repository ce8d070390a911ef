"""Drives a fleet that is up with observability, and asks what watches it.

    live.py metrics HOME VICTORIA_METRICS -- FLEET...
    live.py traces HOME VICTORIA_METRICS -- FLEET...
    live.py gone HOME
"""

import contextlib
import json
import pathlib
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from check import questions
from prometheus import Prometheus, until

SERVICES = set(re.findall(r"^[a-z]+", pathlib.Path("services/services.txt").read_text(encoding="utf-8"), re.MULTILINE))
# A trace of an order that went well goes through all of these.
ORDER_SERVICES = {"gateway", "orders", "inventory", "payments", "notification"}
ACCEPTED = 'sum(flotilla_orders_placed_total{outcome="accepted"})'


def members(home):
    """Addresses of the fleet's processes."""
    state = json.loads(pathlib.Path(home, "state.json").read_text(encoding="utf-8"))
    return {member["name"]: member for member in state["members"]}


def said(url, headers=None):
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def require(holds, text):
    """Ends with the text unless it holds."""
    if not holds:
        sys.exit(f"observability: {text}")


@contextlib.contextmanager
def victoria_metrics(program, home):
    """VictoriaMetrics that scrapes what Prometheus scrapes, or none where there is no program."""
    if not program:
        print("SKIPPED victoria-metrics: neither from Debian's packages nor installed")
        yield None
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    targets = pathlib.Path(home, "observability/prometheus/targets/*.json").absolute()
    with tempfile.TemporaryDirectory(prefix="flotilla-victoria-") as folder:
        config = pathlib.Path(folder, "scrape.yaml")
        job = {"job_name": "flotilla", "file_sd_configs": [{"files": [str(targets)]}]}
        config.write_text(json.dumps({"global": {"scrape_interval": "2s"}, "scrape_configs": [job]}), encoding="utf-8")
        command = [program, f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", f"-promscrape.config={config}"]
        with open(pathlib.Path(folder, "log"), "w", encoding="utf-8") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield Prometheus(f"http://127.0.0.1:{port}")
            finally:
                process.terminate()


def accepted_orders(home):
    """The orders that were accepted, as orders itself tells it."""
    _, text = said(members(home)["orders"]["admin"] + "/metrics")
    line = re.search(r'^flotilla_orders_placed_total{outcome="accepted"} (\d+)', text, re.M)
    return int(line[1]) if line else 0


def demo(fleet, orders):
    """A shop's day; its output only where it fails."""
    done = subprocess.run([*fleet, "demo", "--orders", str(orders)], capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"the demo failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def both_see_the_same(home, prometheus, other):
    """The service, Prometheus and VictoriaMetrics agree on the orders that were accepted."""
    wanted = accepted_orders(home)
    require(wanted > 0, "orders counts none")
    until(60, "Prometheus sees every order", lambda: prometheus.number(ACCEPTED) == wanted)
    if other:
        until(60, "VictoriaMetrics sees every order", lambda: other.number(ACCEPTED) == wanted)
    print(f"observability: {wanted} orders, seen alike by the service, Prometheus{' and VictoriaMetrics' if other else ''}")


def unanswered(prometheus):
    """The queries of docs/queries.md that have no data and should have some; an error of one ends it all."""
    silent = []
    for number, title, query, may_be_empty in questions():
        values = [float(series["value"][1]) for series in prometheus.query(query)]
        if not may_be_empty and not any(value == value for value in values):
            silent.append(f"{number}. {title}")
    return silent


def until_answered(prometheus):
    """Waits for the rates and recorded series that need some time; names the questions without an answer."""
    deadline = time.monotonic() + 90
    while silent := unanswered(prometheus):
        require(time.monotonic() < deadline, "no data answers " + "; ".join(silent))
        time.sleep(1)


def rules_are_evaluated(prometheus):
    """Every rule was evaluated, without an error."""
    rules = prometheus.rules()
    for rule in rules:
        require(rule["health"] != "err", f"the rule {rule['name']}: {rule.get('lastError')}")
    return all(rule["health"] == "ok" for rule in rules)


def exemplars(prometheus, metric):
    """Trace ids that the samples of a metric carry."""
    now = time.time()
    found = prometheus.get("/api/v1/query_exemplars", query=metric, start=now - 600, end=now)["data"]
    return [exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]]


def metrics(home, program, fleet):
    """What `make test-metrics` shows."""
    there = members(home)
    prometheus = Prometheus(there["prometheus"]["address"])
    check = [sys.executable, "scripts/test/observability/check.py", prometheus.url]
    require(subprocess.run(check, check=False).returncode == 0, "rules, panels and queries don't fit the metrics")
    with victoria_metrics(program, home) as other:
        # Counters show a rate only from their second sample on: hence two rounds.
        demo(fleet, 200)
        both_see_the_same(home, prometheus, other)
        demo(fleet, 200)
        both_see_the_same(home, prometheus, other)
        until(30, "all services are scraped", lambda: prometheus.number("count(up == 1)") >= len(SERVICES) + 1)
    until(60, "all rules are evaluated without error", lambda: rules_are_evaluated(prometheus))
    until_answered(prometheus)
    print("observability: 20 questions are answered")
    ids = until(30, "Prometheus keeps exemplars", lambda: exemplars(prometheus, "flotilla_order_settle_seconds_bucket"))
    require(all(re.fullmatch("[0-9a-f]{32}", trace) for trace in ids), f"no trace ids: {ids[:3]}")
    print(f"observability: {len(ids)} exemplars of settled orders with trace ids")
    active = prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    require(len(active) == 1, f"Prometheus tells nobody of alerts: {active}")


class Traces:
    """Zipkin and Jaeger, as far as they run."""

    def __init__(self, there):
        self.zipkin = there.get("zipkin", {}).get("address")
        self.jaeger = there.get("jaeger", {}).get("address")
        require(self.zipkin or self.jaeger, "neither Zipkin nor Jaeger runs")

    def backends(self):
        """Their names."""
        return [name for name, url in (("zipkin", self.zipkin), ("jaeger", self.jaeger)) if url]

    def services(self, backend, trace):
        """The services that have spans in a trace; empty where the trace isn't there."""
        if backend == "zipkin":
            status, text = said(f"{self.zipkin}/api/v2/trace/{trace}")
            spans = json.loads(text) if status == 200 else []
            return {span.get("localEndpoint", {}).get("serviceName") for span in spans}
        status, text = said(f"{self.jaeger}/api/traces/{trace}")
        found = (json.loads(text).get("data") or []) if status == 200 else []
        return {process["serviceName"] for one in found for process in one["processes"].values()}

    def newest(self, backend, service):
        """Ids of the newest traces in which a service takes part."""
        if backend == "zipkin":
            _, text = said(f"{self.zipkin}/api/v2/traces?serviceName={service}&limit=200")
            return [spans[0]["traceId"] for spans in json.loads(text)]
        _, text = said(f"{self.jaeger}/api/traces?service={service}&limit=200")
        return [one["traceID"] for one in json.loads(text).get("data") or []]


def call(gateway, token, trace):
    """Reads the catalogue under a trace id of our own, sampled by the caller; the status."""
    headers = {"authorization": f"Bearer {token}", "traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    return said(f"http://{gateway}/v1/products?pageSize=1", headers)[0]


def traces(home, _, fleet):
    """What `make test-observability` shows."""
    there = members(home)
    require("collector" in there, "the Collector doesn't run")
    backends, prometheus = Traces(there), Prometheus(there["prometheus"]["address"])
    demo(fleet, 300)
    for backend in backends.backends():
        whole = until(60, f"an order's whole trace is in {backend}", lambda: next(
            (trace for trace in backends.newest(backend, "notification") if ORDER_SERVICES <= backends.services(backend, trace)), None))
        print(f"observability: one order's trace through {len(ORDER_SERVICES)} services in {backend}: {whole}")
    ids = until(60, "an exemplar leads to a trace", lambda: [
        trace for trace in exemplars(prometheus, "flotilla_order_settle_seconds_bucket") if backends.services(backends.backends()[0], trace)])
    print(f"observability: {len(ids)} exemplars of settled orders lead to traces that were kept")
    errors_are_kept_and_the_rest_in_part(there, backends, fleet)
    logs = pathlib.Path(home, "observability/data/collector/logs.json")
    until(30, "logs come through the Collector", lambda: logs.exists() and {"orders", "gateway"} <= set(
        re.findall(r'"service\.name","value":\{"stringValue":"(\w+)"', logs.read_text(encoding="utf-8"))))
    require(re.search(r'"traceId":"[0-9a-f]{32}"', logs.read_text(encoding="utf-8")), "no log record has a trace id")
    print("observability: logs of the services come through the Collector, with trace ids")
    if "loki" in there:
        asked = "/loki/api/v1/query?" + urllib.parse.urlencode({"query": 'sum(count_over_time({service_name="orders"}[10m]))'})
        until(60, "Loki has the logs of orders", lambda: json.loads(said(there["loki"]["address"] + asked)[1])["data"]["result"])
        print("observability: Loki has the logs of orders")
    until(60, "spans are counted as metrics", lambda: prometheus.number("sum(span_calls_total)") > 0)
    print("observability: the Collector counts spans before it samples them")


def errors_are_kept_and_the_rest_in_part(there, backends, fleet):
    """With a service stopped, every trace of a failed call is kept; of the calls that went well only a share is."""
    gateway, backend = there["gateway"]["address"], backends.backends()[0]
    token = subprocess.run([*fleet, "token"], capture_output=True, text=True, check=True).stdout.strip().removeprefix("Bearer ")
    good = {secrets.token_hex(16) for _ in range(80)}
    require(all(call(gateway, token, trace) == 200 for trace in good), "the catalogue can't be read")
    subprocess.run([*fleet, "stop", "inventory"], stdout=subprocess.DEVNULL, check=True)
    bad = {secrets.token_hex(16) for _ in range(10)}
    require(all(call(gateway, token, trace) >= 500 for trace in bad), "calls succeed though inventory is stopped")
    subprocess.run([*fleet, "start", "inventory"], stdout=subprocess.DEVNULL, check=True)
    until(60, "every failed call's trace is kept", lambda: all(backends.services(backend, trace) for trace in bad))
    # Those that went well were sent before the failed ones, so that they are decided by now.
    kept = sum(bool(backends.services(backend, trace)) for trace in good)
    require(0 < kept < len(good), f"of {len(good)} calls that went well {kept} are kept")
    print(f"observability: tail sampling kept all of {len(bad)} failed calls and {kept} of {len(good)} others")


def gone(home):
    """After `fleet down` nothing listens any more."""
    ports = json.loads(pathlib.Path(home, "observability-ports.json").read_text(encoding="utf-8"))
    for name, port in ports.items():
        with socket.socket() as probe:
            require(probe.connect_ex(("127.0.0.1", port)) != 0, f"{name} still listens after the fleet's end")
    print("observability: nothing of it is left after the fleet's end")


def main():
    """Which of them."""
    if sys.argv[1] == "gone":
        gone(sys.argv[2])
        return
    at = sys.argv.index("--")
    {"metrics": metrics, "traces": traces}[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[at + 1:])


main()
