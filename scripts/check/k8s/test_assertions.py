"""Each assertion is shown a manifest that is broken in just its way, and must see it; the sound one passes.

    K8S_RENDERED=FOLDER python -m unittest test_assertions
"""

import os
import re
import unittest
from pathlib import Path

import alike
import capacity
import check
import network
import pods
import references
import servers
from manifests import DATABASES, ROOT, Manifests, pod, pod_labels

RENDERED = Path(os.environ["K8S_RENDERED"])


def container(manifests, name, kind="Deployment"):
    return pod(manifests.find(kind, name))["containers"][0]


def job(manifests, service):
    return next(one for one in manifests.of("Job") if one["metadata"]["name"].startswith(f"{service}-migrate"))


def policy(manifests, name):
    return manifests.find("NetworkPolicy", name)


def drop(manifests, kind, name):
    manifests.objects.remove(manifests.find(kind, name))


def secret_sources(workload):
    return next(one for one in pod(workload)["volumes"] if one["name"] == "secrets")["projected"]["sources"]


def configured(manifests, name):
    return next(one for one in manifests.of("ConfigMap") if one["metadata"]["name"].startswith(name + "-"))["data"]


def annotations(manifests, ingress):
    return manifests.find("Ingress", ingress)["metadata"]["annotations"]


def trusted_proxies(manifests):
    return next(one for one in container(manifests, "gateway")["env"] if one["name"] == "FLOTILLA__EDGE__TRUSTED_PROXIES")


SUPERUSER = {"secret": {"name": "postgres-superuser", "items": [{"key": "url", "path": "postgres.superuser_url"}]}}

# The assertion, what it must tell, the overlay, and how to break that.
BROKEN = [
    (alike.alike, "periodSeconds is 6, but 5 for payments", "dev",
     lambda m: container(m, "orders")["readinessProbe"].update(periodSeconds=6)),
    (alike.alike, "gateway: Deployment SERVICE.spec.progressDeadlineSeconds is absent, but 900", "prod",
     lambda m: m.find("Deployment", "gateway")["spec"].pop("progressDeadlineSeconds")),
    (alike.alike, "notification: Deployment SERVICE.spec.template.spec.hostNetwork is True, but absent", "prod-mutual-tls",
     lambda m: pod(m.find("Deployment", "notification")).update(hostNetwork=True)),
    (alike.alike, "identity: Deployment SERVICE.spec.template.spec.containers.service.env.FLOTILLA__CATALOGUE", "dev",
     lambda m: container(m, "identity")["env"].append({"name": "FLOTILLA__CATALOGUE__INVENTORY_URL", "value": "x"})),
    (alike.alike, "inventory: Job SERVICE-migrate-0-1-0.spec.backoffLimit is 1, but 12", "staging",
     lambda m: job(m, "inventory")["spec"].update(backoffLimit=1)),
    (alike.alike, "orders: Service SERVICE-admin.spec.publishNotReadyAddresses is absent", "dev",
     lambda m: m.find("Service", "orders-admin")["spec"].pop("publishNotReadyAddresses")),
    (pods.probes, "startupProbe asks for /healthz", "dev",
     lambda m: container(m, "orders")["startupProbe"]["httpGet"].update(path="/healthz")),
    (pods.probes, "livenessProbe doesn't ask the port admin", "dev",
     lambda m: container(m, "orders")["livenessProbe"]["httpGet"].update(port="public")),
    (pods.probes, "readinessProbe asks for None", "dev", lambda m: container(m, "orders").pop("readinessProbe")),
    (pods.probe_ports, "port monitoring", "dev",
     lambda m: container(m, "redis", "StatefulSet")["livenessProbe"]["tcpSocket"].update(port="monitoring")),
    (pods.ports, "but port public is 8081", "dev",
     lambda m: container(m, "orders")["ports"][0].update(containerPort=8081)),
    (pods.ports, "but port admin is 9090", "dev",
     lambda m: configured(m, "fleet").update(FLOTILLA__SERVICE__ADMIN_LISTEN="0.0.0.0:9000")),
    (pods.service_ports, "target port gprc", "dev",
     lambda m: m.find("Service", "orders")["spec"]["ports"][0].update(targetPort="gprc")),
    (pods.service_ports, "must be 8080, not 80", "dev",
     lambda m: m.find("Service", "orders")["spec"]["ports"][0].update(port=80)),
    (pods.grace, "is below 35", "prod",
     lambda m: pod(m.find("Deployment", "orders")).update(terminationGracePeriodSeconds=30)),
    (pods.grace, "is below 70", "dev", lambda m: configured(m, "fleet").update(FLOTILLA__SERVICE__GRACE="1m")),
    (pods.grace, "no preStop sleep", "dev", lambda m: container(m, "orders").pop("lifecycle")),
    (pods.grace, "drain_grace isn't below", "dev",
     lambda m: configured(m, "fleet").update(FLOTILLA__GRPC__DRAIN_GRACE="10s")),
    (pods.sizes, "no limits of memory", "dev", lambda m: container(m, "orders")["resources"]["limits"].pop("memory")),
    (pods.variables, "FLOTILLA__CATALOG__INVENTORY_URL is no variable", "dev",
     lambda m: container(m, "orders")["env"].append({"name": "FLOTILLA__CATALOG__INVENTORY_URL", "value": "x"})),
    (pods.variables, "FLOTILLA__NATS__URL is no variable of gateway", "dev",
     lambda m: container(m, "gateway")["env"].append({"name": "FLOTILLA__NATS__URL", "value": "x"})),
    (pods.variables, "postgres.url is no setting", "dev",
     lambda m: secret_sources(m.find("Deployment", "orders"))[0]["secret"]["items"][0].update(path="postgres.url")),
    (references.config_maps, "no ConfigMap fleet-", "dev",
     lambda m: m.objects.remove(next(o for o in m.of("ConfigMap") if o["metadata"]["name"].startswith("fleet-")))),
    (references.secrets, "nobody makes the secret orders-db", "dev",
     lambda m: secret_sources(job(m, "orders"))[0]["secret"].update(name="orders-db")),
    (references.secrets, "with owner", "dev",
     lambda m: secret_sources(job(m, "orders"))[0]["secret"]["items"][0].update(key="owner")),
    (references.secrets, "postgres-superuser", "prod",
     lambda m: secret_sources(job(m, "orders")).append(SUPERUSER)),
    (references.secrets, "doesn't belong into git", "dev",
     lambda m: m.objects.append({"kind": "Secret", "metadata": {"name": "x"}})),
    (references.secrets, "nobody makes the secret orders-certificate", "prod-mutual-tls",
     lambda m: drop(m, "Certificate", "orders")),
    (references.addresses, "there is no such Service", "dev",
     lambda m: configured(m, "fleet").update(FLOTILLA__AUTH__IDENTITY_URL="http://identify:8080")),
    (references.addresses, "but identity speaks TLS", "prod-mutual-tls",
     lambda m: configured(m, "fleet").update(FLOTILLA__AUTH__IDENTITY_URL="http://identity:8080")),
    (references.addresses, "but identity speaks no TLS", "dev",
     lambda m: configured(m, "fleet").update(FLOTILLA__AUTH__IDENTITY_URL="https://identity:8080")),
    (references.addresses, "without a certificate of its own", "prod-mutual-tls",
     lambda m: container(m, "orders")["env"].remove(
         {"name": "FLOTILLA__CLIENT__TLS__CERTIFICATE", "value": "/run/certificate/tls.crt"})),
    (references.external_secrets, "orders-database differ", "prod-external-secrets",
     lambda m: drop(m, "ExternalSecret", "orders-database")),
    (references.privileges, "has the superuser's secret", "dev",
     lambda m: secret_sources(m.find("Deployment", "orders")).append(SUPERUSER)),
    (references.privileges, "has the address of its database's owner", "prod",
     lambda m: secret_sources(m.find("Deployment", "orders")).append(
         {"secret": {"name": "orders-database", "items": [{"key": "owner-url", "path": "postgres.owner_url"}]}})),
    (references.privileges, "has payments-url of the secret broker", "prod",
     lambda m: secret_sources(m.find("Deployment", "orders"))[1]["secret"].update(
         items=[{"key": "payments-url", "path": "nats.url"}])),
    (references.secrets, "nobody makes the secret broker with users.conf", "dev",
     lambda m: (m.find("StatefulSet", "nats")["metadata"].update(name="other"))),
    (servers.credentials, "nats: its file has no users", "dev",
     lambda m: configured(m, "nats").update({"nats.conf": "port: 4222\nhttp: \"127.0.0.1:8222\"\n"})),
    (servers.credentials, "nats: its servers know each other by no password", "staging-nats-cluster",
     lambda m: configured(m, "nats").update(
         {"nats.conf": configured(m, "nats")["nats.conf"].replace("include routes.conf", "")})),
    (servers.credentials, "nats: its monitoring is open beyond the pod", "staging-nats-cluster",
     lambda m: configured(m, "nats").update({"nats.conf": "include users.conf\ninclude routes.conf\nhttp_port: 8222\n"})),
    (servers.credentials, "redis: its file has no password", "dev",
     lambda m: configured(m, "redis").update({"valkey.conf": "port 6379\n"})),
    (servers.credentials, "has an address of a server in the open: FLOTILLA__NATS__URL", "prod",
     lambda m: configured(m, "broker").update(FLOTILLA__NATS__URL="nats://nats:4222")),
    (references.selectors, "doesn't take its own pods", "dev",
     lambda m: pod_labels(m.find("Deployment", "orders")).update({"app.kubernetes.io/name": "order"})),
    (references.selectors, "takes the pods of another", "dev",
     lambda m: m.find("Deployment", "orders")["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/name")),
    (references.selectors, "Service orders: selects 0", "dev",
     lambda m: m.find("Service", "orders")["spec"]["selector"].update({"app.kubernetes.io/name": "order"})),
    (references.selectors, "PodDisruptionBudget orders: selects 6", "dev",
     lambda m: m.find("PodDisruptionBudget", "orders")["spec"].update(
         selector={"matchLabels": {"app.kubernetes.io/component": "service"}})),
    (references.targets, "its target isn't there", "prod",
     lambda m: m.find("HorizontalPodAutoscaler", "orders")["spec"]["scaleTargetRef"].update(name="order")),
    (references.targets, "would quarrel", "prod", lambda m: m.find("Deployment", "orders")["spec"].update(replicas=3)),
    (references.targets, "there is no Service postgresql", "dev",
     lambda m: m.find("StatefulSet", "postgres")["spec"].update(serviceName="postgresql")),
    (references.targets, "no port http of", "prod",
     lambda m: m.find("Service", "gateway")["spec"]["ports"][0].update(name="https")),
    (references.targets, "no ServiceAccount orders", "dev", lambda m: drop(m, "ServiceAccount", "orders")),
    (references.tokens, "have a token", "dev",
     lambda m: pod(m.find("Deployment", "orders")).pop("automountServiceAccountToken")),
    (references.tokens, "allows more", "dev", lambda m: m.of("Role")[0]["rules"][0]["verbs"].append("get")),
    (references.images, "docs/pins.md doesn't have nats:0.1", "dev",
     lambda m: container(m, "nats", "StatefulSet").update(image="nats:0.1")),
    (references.images, "several places or versions", "dev",
     lambda m: container(m, "orders").update(image="localhost/flotilla/orders:0.0.9")),
    (references.images, "a public registry's flotilla", "dev",
     lambda m: container(m, "orders").update(image="flotilla/orders:0.1.0")),
    (references.images, "have the tag 0.1.0-rc.1", "prod",
     lambda m: container(m, "orders").update(image="registry.example.com/flotilla/orders:0.1.0-rc.1")),
    (references.versions, "doesn't end with 0.9.9", "dev",
     lambda m: pod(job(m, "orders"))["containers"][0].update(image="localhost/flotilla/orders:0.9.9")),
    (references.versions, "doesn't wait for the migrations", "dev",
     lambda m: pod(m.find("Deployment", "orders")).pop("initContainers")),
    (references.versions, "orders-migrate-0-1-0: fails for good", "prod",
     lambda m: job(m, "orders")["spec"].update(activeDeadlineSeconds=3600)),
    (references.versions, "cluster-secrets-0-1-0: fails for good", "dev",
     lambda m: m.find("Job", "cluster-secrets-0-1-0")["spec"].update(activeDeadlineSeconds=900)),
    (references.versions, "goes by itself", "dev",
     lambda m: job(m, "orders")["spec"].update(ttlSecondsAfterFinished=60)),
    (references.streams, "gateway-grpc: proxy-body-size is None", "prod",
     lambda m: annotations(m, "gateway-grpc").pop("nginx.ingress.kubernetes.io/proxy-body-size")),
    (references.streams, "gateway-grpc: proxy-send-timeout is 60", "prod",
     lambda m: annotations(m, "gateway-grpc").update({"nginx.ingress.kubernetes.io/proxy-send-timeout": "60"})),
    (references.streams, "Ingress gateway: proxy-read-timeout is None", "staging",
     lambda m: annotations(m, "gateway").pop("nginx.ingress.kubernetes.io/proxy-read-timeout")),
    (references.proxies, "FLOTILLA__EDGE__TRUSTED_PROXIES is 'from-values'", "prod",
     lambda m: trusted_proxies(m).update(value="from-values")),
    (references.proxies, "FLOTILLA__EDGE__TRUSTED_PROXIES is ''", "staging",
     lambda m: container(m, "gateway")["env"].remove(trusted_proxies(m))),
    (references.authorities, "authority: gets a new key", "prod-mutual-tls",
     lambda m: m.find("Certificate", "authority")["spec"]["privateKey"].pop("rotationPolicy")),
    (references.complete, "Deployment payments: is missing", "dev", lambda m: drop(m, "Deployment", "payments")),
    (references.complete, "maxUnavailable isn't 1", "dev",
     lambda m: m.find("PodDisruptionBudget", "orders")["spec"].update(maxUnavailable=2)),
    (references.complete, "isn't headless", "dev", lambda m: m.find("Service", "orders")["spec"].pop("clusterIP")),
    (references.complete, "has no appProtocol", "dev",
     lambda m: m.find("Service", "orders")["spec"]["ports"][0].pop("appProtocol")),
    (references.complete, "has no label", "dev", lambda m: m.find("Service", "nats")["metadata"].pop("labels")),
    (network.calls, "gateway can't call orders:8080", "dev", lambda m: drop(m, "NetworkPolicy", "gateway-to-services")),
    (network.calls, "gateway can't call orders:8080", "dev",
     lambda m: drop(m, "NetworkPolicy", "services-from-gateway")),
    (network.calls, "payments can't call identity:8080", "dev",
     lambda m: drop(m, "NetworkPolicy", "services-to-identity")),
    (network.calls, "orders can't call inventory:8080", "dev",
     lambda m: drop(m, "NetworkPolicy", "orders-to-inventory")),
    (network.calls, "orders can't call postgres:5432", "dev",
     lambda m: policy(m, "postgres-from-its-users")["spec"]["ingress"][0]["ports"][0].update(port=5433)),
    (network.calls, "orders can't call postgres:5432", "prod",
     lambda m: policy(m, "external-postgres")["spec"]["egress"][0]["to"][0]["ipBlock"].update(cidr="192.168.0.0/16")),
    (network.calls, "orders-migrate can't call postgres:5432", "dev",
     lambda m: pod_labels(job(m, "orders")).pop("access.flotilla/postgres")),
    (network.calls, "payments can't call nats:4222", "dev", lambda m: drop(m, "NetworkPolicy", "to-nats")),
    (network.calls, "gateway can't call redis:6379", "dev", lambda m: drop(m, "NetworkPolicy", "redis-from-its-users")),
    (network.calls, "can't call the API server", "dev", lambda m: drop(m, "NetworkPolicy", "secrets-to-api-server")),
    (network.calls, "cluster-secrets can't call the API server:8443", "dev",
     lambda m: policy(m, "secrets-to-api-server")["spec"]["egress"][0]["ports"].pop()),
    (network.calls, "an instance of PostgreSQL can't call the API server:8443", "prod-operators",
     lambda m: policy(m, "postgres-operator")["spec"]["egress"][1]["ports"].pop()),
    (network.calls, "prometheus can't call orders:9090", "dev-observability",
     lambda m: drop(m, "NetworkPolicy", "services-from-prometheus")),
    (network.calls, "orders can't call collector:4317", "dev-observability",
     lambda m: drop(m, "NetworkPolicy", "services-to-collector")),
    (network.calls, "can't resolve names at kube-dns", "dev", lambda m: drop(m, "NetworkPolicy", "dns")),
    (network.calls, "can't resolve names at kube-dns", "dev",
     lambda m: policy(m, "dns")["spec"]["egress"][0]["ports"].remove({"protocol": "UDP", "port": 53})),
    (network.calls, "can't resolve names at node-local-dns", "dev",
     lambda m: policy(m, "dns")["spec"]["egress"][0]["to"][0].update(podSelector={"matchLabels": {"k8s-app": "kube-dns"}})),
    (network.calls, "can't resolve names at 10.96.0.10", "dev",
     lambda m: policy(m, "dns")["spec"]["egress"][0]["to"].remove({"ipBlock": {"cidr": "10.0.0.0/8"}})),
    (network.calls, "orders can call the internet:53", "dev",
     lambda m: policy(m, "dns")["spec"]["egress"][0].pop("to")),
    (network.calls, "a stranger can call orders:8080", "dev",
     lambda m: (policy(m, "dns")["spec"]["egress"].append({}),
                policy(m, "services-from-gateway")["spec"]["ingress"][0].pop("from"))),
    (network.calls, "a pod elsewhere can call orders:8080", "dev",
     lambda m: policy(m, "services-from-gateway")["spec"]["ingress"][0]["from"][0].update(namespaceSelector={})),
    (network.calls, "orders can call the internet:443", "dev",
     lambda m: policy(m, "services-to-identity")["spec"]["egress"].append({})),
    (network.calls, "no network policies", "dev",
     lambda m: [m.objects.remove(one) for one in m.of("NetworkPolicy")]),
    (network.edge, "controller can't call gateway:8080", "prod",
     lambda m: drop(m, "NetworkPolicy", "gateway-from-ingress")),
    (network.edge, "controller can call gateway:9090", "prod",
     lambda m: policy(m, "gateway-from-ingress")["spec"]["ingress"][0].pop("ports")),
    (network.edge, "can't call an HTTP-01 solver:8089", "prod",
     lambda m: drop(m, "NetworkPolicy", "solvers-from-ingress")),
    (network.edge, "orders can call an HTTP-01 solver", "prod",
     lambda m: (policy(m, "solvers-from-ingress")["spec"]["ingress"][0].pop("from"),
                policy(m, "services-to-identity")["spec"]["egress"].append({}))),
    (capacity.connections, "allows 300 connections, but the services may have 520", "prod-operators",
     lambda m: m.of("Cluster")[0]["spec"]["postgresql"]["parameters"].update(max_connections="300")),
    (capacity.connections, "allows 200 connections, but the services may have 240", "dev",
     lambda m: [m.find("Deployment", name)["spec"].update(replicas=5) for name in DATABASES]),
    (capacity.connections, "prod may have 1040 connections", "prod",
     lambda m: configured(m, "broker").update(FLOTILLA__POSTGRES__POOL_SIZE="8")),
    (capacity.copies, "a stream has 1 copies in production", "prod",
     lambda m: configured(m, "broker").update(FLOTILLA__NATS__STREAM_REPLICAS="1")),
    (capacity.copies, "1 servers for 3 copies", "dev",
     lambda m: configured(m, "broker").update(FLOTILLA__NATS__STREAM_REPLICAS="3")),
    (capacity.copies, "two servers may come to one node", "staging-nats-cluster",
     lambda m: pod(m.find("StatefulSet", "nats"))["topologySpreadConstraints"][0].pop("minDomains")),
    (check.schemas, "Kubernetes 1.35.0", "dev", lambda m: m.find("Service", "orders")["spec"].update(portz=[])),
    (check.schemas, "Kubernetes 1.37.0", "dev", lambda m: container(m, "orders").update(image=7)),
]


class Assertions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        names = {overlay for _, _, overlay, _ in BROKEN}
        cls.sound = {name: Manifests.read(RENDERED / f"{name}.yaml") for name in names}

    def test_a_broken_manifest_is_seen(self):
        for number, (assertion, told, overlay, damage) in enumerate(BROKEN):
            with self.subTest(assertion=assertion.__name__, told=told, number=number):
                self.assertFalse([one for one in assertion(self.sound[overlay]) if told in one], "before it is broken")
                broken = self.sound[overlay].copy()
                damage(broken)
                problems = list(assertion(broken))
                self.assertTrue(any(told in one for one in problems), problems)

    def test_every_assertion_is_tried(self):
        tried = {assertion for assertion, _, _, _ in BROKEN}
        self.assertEqual(tried, {*alike.ALL, *pods.ALL, *references.ALL, *network.ALL, *capacity.ALL, *servers.ALL, check.schemas})

    def test_an_administrator_is_told_what_bootstrap_does(self):
        page = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
        program = (ROOT / "crates/postgres/src/bootstrap.rs").read_text(encoding="utf-8")
        self.assertEqual(told_statements(page), made_statements(program))
        for left_out in ("SET flotilla.service", "\\password", "GRANT USAGE"):
            broken = "\n".join(line for line in page.splitlines() if left_out not in line)
            self.assertNotEqual(told_statements(broken), made_statements(program), left_out)


def told_statements(page):
    """The statements of database.sql in docs/kubernetes.md, for any service."""
    script = re.search(r"```sql\n(.*?)```", page, re.DOTALL)[1]
    script = re.sub(r"^\\password (.*)$", r"ALTER ROLE \1 PASSWORD '{verifier}';", script, flags=re.MULTILINE)
    script = re.sub(r"^(--|\\).*$", "", script, flags=re.MULTILINE)
    return {plain(one) for one in script.split(";") if one.strip()}


def made_statements(program):
    """The statements of bootstrap.rs, for any service."""
    text = re.sub(r"^\s*//.*$", "", program.partition("#[cfg(test)]")[0], flags=re.MULTILINE)
    return {plain(one) for one in re.findall(r'(?:CREATE|ALTER|DROP|REVOKE|GRANT) [A-Z]+ [^";]*', text)}


def plain(statement):
    """With `{role}` for each role of a service and `{service}` for its name and its database's."""
    statement = " ".join(statement.split()).replace("{database}", "{service}")
    statement = re.sub(r":'?(owner|system|user|service)'?", lambda found: "{" + found[1] + "}", statement)
    statement = re.sub(r"\{service\}_(owner|system|user)", r"{\1}", statement).replace("'{service}'", "{service}")
    if re.match("(CREATE|ALTER) ROLE", statement):
        statement = re.sub(r"\{(owner|system|user)\}", "{role}", statement)
    return statement


if __name__ == "__main__":
    unittest.main()
