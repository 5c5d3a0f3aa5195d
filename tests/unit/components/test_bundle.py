"""What each host is given: every file of the full topology, its rights, and which setting changes which file."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Network
from shutil import which
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components import bundle as bundling
from components.bundle import Bundle, BundleError, File, Renderer, Secrets, openings
from components.plan import HostPlan
from roles import apply
from stacks.secrets import Certificate, HostKey
from tests.unit.stacks.example import CARRIERS, ROOT_SECRET, SSH_KEY, TOKEN, renderer

LICENCE = "licence-of-the-vendor"
HOSTS = ["balancer-1", "balancer-2", "database-1", "database-2", "gui", "core-1", "core-2"]
LARGEST_USER_DATA = 32 * 1024
"""Bytes (docs.hetzner.cloud, Servers, user_data)."""


@cache
def usual() -> Renderer:
    return renderer()


@cache
def usual_bundle(host: str) -> Bundle:
    return usual().bundle(usual().plan.host(host))


def usual_file(host: str, path: str) -> File:
    return next(file for file in usual_bundle(host).files if file.path == path)


@dataclass
class Remembering:
    """Secrets that remember which were asked for."""

    secrets: Secrets
    told: set[str]

    def password(self, name: str) -> str:
        return self._remember(self.secrets.password(name))

    def certificate(self, name: str, *addresses: str) -> Certificate:
        made: Certificate = self.secrets.certificate(name, *addresses)
        self._remember(made.key)
        return made

    @property
    def authority(self) -> str:
        return self.secrets.authority

    def host_key(self, host: str) -> HostKey:
        made: HostKey = self.secrets.host_key(host)
        self._remember(made.private)
        return made

    def keyed_hash(self, text: str) -> str:
        return self.secrets.keyed_hash(text)

    def _remember(self, secret: str) -> str:
        self.told.add(secret.strip())
        return secret


def vendor(role: str) -> dict[str, object]:
    """Software of the vendor; the script is some file of this repository."""
    script = "roles/apply.py"
    checksum = sha256((bundling.ROOT / script).read_bytes()).hexdigest()
    return {role: {"script": script, "sha256": checksum, "licence": LICENCE}}


def secret_files(rendering: Renderer) -> Iterator[tuple[str, File]]:
    """Every file in which a secret stands, with its host."""
    remembering = Remembering(rendering.secrets, {TOKEN, LICENCE})
    for host in rendering.plan.hosts:
        files = replace(rendering, secrets=remembering).bundle(host).files
        yield from ((host.name, file) for file in files if any(s in file.content for s in remembering.told))


@pytest.mark.parametrize("values", [{}, {"vendor": vendor("core")}], ids=["reference roles", "vendor's core"])
def test_a_file_in_which_a_secret_stands_is_not_for_everybody(values: dict[str, Any]) -> None:
    found = list(secret_files(renderer(**values)))
    readable = [f"{host}:{file.path} {file.rights}" for host, file in found if int(file.rights.split()[0], 8) & 0o007]
    assert not readable
    assert len({file.path for _, file in found}) >= 8


def test_every_secret_is_found_by_the_search_above() -> None:
    """The kinds of secrets, each in the one file that is for it."""
    found = {(host, file.path) for host, file in secret_files(renderer(vendor=vendor("gui")))}
    assert {
        ("database-1", "/etc/m2/mover.token"),
        ("database-1", "/etc/m2/database-users.sql"),
        ("database-1", "/etc/m2/agent.json"),
        ("database-2", "/etc/m2/database/tls.key"),
        ("balancer-1", "/etc/m2/tls/host.key"),
        ("core-1", "/etc/m2/core.json"),
        ("gui", "/etc/m2/etcd/tls.key"),
        ("gui", "/etc/m2/vendor/gui/licence"),
    } <= found


def test_only_database_hosts_have_the_providers_token() -> None:
    with_token = {host for host in HOSTS for file in usual_bundle(host).files if TOKEN in file.content}
    assert with_token == {"database-1", "database-2"}


def test_the_root_secret_is_in_no_file() -> None:
    for host in HOSTS:
        assert ROOT_SECRET not in usual_bundle(host).program()
        assert ROOT_SECRET not in usual().user_data(usual().plan.host(host))


@pytest.mark.parametrize("host", HOSTS)
def test_no_secret_stands_in_the_listing(host: str) -> None:
    remembering = Remembering(usual().secrets, {TOKEN, ROOT_SECRET})
    replace(usual(), secrets=remembering).bundle(usual().plan.host(host))
    listing = usual_bundle(host).listing(usual().secrets)
    assert not [secret for secret in remembering.told if secret in listing]


@pytest.mark.parametrize("host", HOSTS)
def test_the_listing_has_a_line_for_each_file_and_no_other(host: str) -> None:
    lines = usual_bundle(host).listing(usual().secrets).splitlines()
    assert [line.partition("=")[0] for line in lines] == [f"# {file.path}" for file in usual_bundle(host).files]
    assert all(re.fullmatch(r"# /\S+=[0-9a-f]{12}", line) for line in lines)


def listed(rendering: Renderer, host: HostPlan) -> dict[str, str]:
    lines = rendering.bundle(host).listing(rendering.secrets).splitlines()
    return dict(line.removeprefix("# ").split("=") for line in lines)


@cache
def usual_listing(host: str) -> dict[str, str]:
    return listed(usual(), usual().plan.host(host))


def changed_files(rendering: Renderer) -> dict[str, set[str]]:
    """The files whose line differs from the usual, by host."""
    differing = {}
    for host in usual().plan.hosts:
        now, before = listed(rendering, rendering.plan.host(host.name)), usual_listing(host.name)
        differing[host.name] = {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}
    return {host: paths for host, paths in differing.items() if paths}


def on(hosts: list[str], *paths: str) -> dict[str, set[str]]:
    return {host: set(paths) for host in hosts}


BALANCERS, DATABASES, CORES = ["balancer-1", "balancer-2"], ["database-1", "database-2"], ["core-1", "core-2"]
NFTABLES = "/etc/nftables.conf"
GAMMA = {"name": "gamma", "addresses": ["192.0.2.30/32"]}
CHANGES: Mapping[str, tuple[dict[str, object], dict[str, set[str]]]] = {
    # what is changed: (settings, files by host)
    "nothing": ({}, {}),
    "a timer of the balancers": ({"probe_interval": 7}, on(BALANCERS, "/etc/kamailio/kamailio.cfg")),
    "a timer of the cores": ({"max_call_hours": 7}, on(CORES, "/etc/kamailio/kamailio.cfg")),
    "one more core": ({"cores": 3}, on(BALANCERS, "/etc/kamailio/dispatcher.list")),
    "who uses the GUI": ({"gui_from": ["203.0.113.0/24"]}, on(["gui"], NFTABLES)),
    "from where admins come": (
        {"admins": {"ssh_from": ["203.0.113.0/28"], "ssh_keys": [SSH_KEY]}},
        on(HOSTS, NFTABLES),
    ),
    "an admin's key": (
        {"admins": {"ssh_from": ["203.0.113.7/32"], "ssh_keys": [SSH_KEY, "ssh-ed25519 AAAA new"]}},
        on(HOSTS, "/etc/ssh/authorized_keys.d/admin"),
    ),
    "media ports": ({"rtp_ports": "20000-30000"}, on(CORES, NFTABLES, "/etc/rtpengine/rtpengine.conf")),
    "one more carrier": (
        {"carriers": [*CARRIERS, GAMMA]},
        on(BALANCERS, NFTABLES, "/etc/m2/carriers.json") | on(["gui"], "/etc/m2/gui.json"),
    ),
    "a carrier's gateway": (
        {"carriers": [CARRIERS[0], {**CARRIERS[1], "gateway": "192.0.2.21"}]},
        on(CORES, "/etc/kamailio/routes/routes"),
    ),
    "what is no host's business": ({"database_disk_gb": 300, "protected": False, "rebuild": {"core-1": 2}}, {}),
    "a rebuild of a quorum member": ({"rebuild": {"gui": 2}}, {"gui": {"/etc/m2/quorum.json"}}),
    "the image of a server": ({"images": {"core": "debian-12-new"}}, {}),
    "the type of cores": ({"server_types": {"core": "ccx33"}}, on(CORES, "/etc/kamailio/kamailio.cfg")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_setting_changes_exactly_the_files_that_use_it(name: str) -> None:
    values, expected = CHANGES[name]
    assert changed_files(renderer(**values)) == expected


def test_another_public_address_of_a_host_changes_files_of_that_host_only() -> None:
    moved = replace(usual(), public={**usual().public, "core-2": "198.51.100.222"})
    assert changed_files(moved).keys() == {"core-2"}


def test_another_token_changes_the_movers_only() -> None:
    moved = replace(usual(), platform=replace(usual().platform, token="x" * 64))
    assert changed_files(moved) == on(DATABASES, "/etc/m2/mover.token")


def test_changed_rights_are_seen_as_a_change() -> None:
    before = usual_bundle("gui")
    first = before.files[0]
    after = replace(before, files=(replace(first, rights="0600 root:root"), *before.files[1:]))
    link = replace(before, files=(File(first.path, link="/dev/null"), *before.files[1:]))
    listings = [each.listing(usual().secrets).splitlines() for each in (before, after, link)]
    assert len({lines[0] for lines in listings}) == 3
    assert listings[0][1:] == listings[1][1:] == listings[2][1:]


def rendered() -> Iterator[tuple[str, File]]:
    """Each file once, although several hosts have it."""
    seen = set()
    for host in HOSTS:
        for file in usual_bundle(host).files:
            if (file.path, file.content) not in seen:
                seen.add((file.path, file.content))
                yield host, file


def test_every_file_has_text_an_absolute_path_and_rights_that_apply_understands() -> None:
    for host, file in rendered():
        assert file.path.startswith("/"), (host, file.path)
        assert not file.path.endswith(".j2"), (host, file.path)
        assert re.fullmatch(r"0[0-7]{3} [a-z-]+:[a-z-]+", file.rights), (host, file.path, file.rights)
        assert "{{" not in file.content or file.path.endswith(".html"), (host, file.path)


def test_every_shell_script_is_one_and_may_be_executed() -> None:
    scripts = [file for _, file in rendered() if file.content.startswith("#!/bin/sh")]
    assert len(scripts) >= 3
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script.content, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script.path}: {done.stderr}"
        assert int(script.rights.split()[0], 8) & 0o100, script.path


def test_every_json_file_parses() -> None:
    documents = [file for _, file in rendered() if file.path.endswith(".json")]
    assert len(documents) >= 6
    for document in documents:
        assert isinstance(json.loads(document.content), dict), document.path


def test_every_program_is_python_of_the_hosts() -> None:
    """Debian 12 has Python 3.11."""
    programs = [file for _, file in rendered() if file.path.endswith(".py")]
    assert len(programs) >= 8
    for program in programs:
        ast.parse(program.content, program.path, feature_version=(3, 11))


def test_programs_of_hosts_import_nothing_of_the_rest_of_this_repository() -> None:
    here = {path.stem for path in bundling.ROOT.iterdir() if path.is_dir()}
    for host, file in rendered():
        if file.path.endswith(".py"):
            own = file.path.split("/")[5] if file.path.count("/") > 5 else ""
            assert imported(file.content) & here <= {own}, (host, file.path)


def imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def nft_words() -> list[str] | None:
    """How to check a rule set here, in a network namespace of its own; None where that is not possible."""
    if not which("nft") or not which("unshare"):
        return None
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), "nft", "-c", "-f", "-"]
    tried = subprocess.run(words, input="table inet m2 {}\n", capture_output=True, text=True, check=False)
    return words if tried.returncode == 0 else None


@pytest.mark.parametrize("host", HOSTS)
def test_nftables_accepts_the_rules(host: str) -> None:
    words = nft_words()
    if words is None:
        pytest.skip("nft cannot check rules here")
    rules = usual_file(host, NFTABLES).content
    done = subprocess.run(words, input=rules, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("host", HOSTS)
def test_nftables_lets_in_what_the_openings_say_and_nothing_else(host: str) -> None:
    rules = usual_file(host, NFTABLES).content
    accepted = re.findall(r"^ +ip saddr \{ (.*) \} ip daddr (\S+) (.*) accept$", rules, re.MULTILINE)
    plan = usual().plan
    addresses = {"public": usual().public[host], "private": plan.host(host).private_ip, "sip": usual().public["sip"]}
    addresses |= {vip.name: vip.ip for vip in plan.vips if vip.ip}
    assert {(*sorted(sources.split(", ")), address, what) for sources, address, what in accepted} == {
        (*sorted(opening.sources), addresses[opening.at], matched(opening.protocol, opening.ports))
        for opening in openings(plan, plan.host(host))
    }
    chain = rules[rules.index("chain input") : rules.index("chain forward")]
    others = [line.strip() for line in chain.splitlines() if "accept" in line and "ip saddr" not in line]
    assert others == [
        "iif lo accept",
        "ct state established,related accept",
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
    ]


def matched(protocol: str, ports: str | None) -> str:
    return {"icmp": "icmp type echo-request", "vrrp": "ip protocol vrrp"}.get(protocol, f"{protocol} dport {ports}")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_drops_what_is_not_let_in_and_keeps_the_metadata_service_to_root(host: str) -> None:
    """User-data holds the SSH host key."""
    rules = usual_file(host, NFTABLES).content
    for chain in ("input", "forward"):
        assert f"hook {chain} priority filter; policy drop;" in rules
    assert "ip daddr 169.254.169.254 meta skuid != root reject" in rules


@pytest.mark.parametrize("host", HOSTS)
def test_every_pattern_that_a_service_listens_to_matches_a_file_of_the_host(host: str) -> None:
    """Else a change goes unheard."""
    paths = [file.path for file in usual_bundle(host).files]
    for service in usual_bundle(host).services:
        for pattern in (*service.restart_on, *service.reload_on):
            assert any(fnmatchcase(path, pattern) for path in paths), f"{service.name}: {pattern}"


@pytest.mark.parametrize("role", sorted(path.parent.name for path in bundling.ROOT.glob("roles/*/role.yaml")))
def test_every_pattern_of_rights_matches_a_file_of_the_role(role: str) -> None:
    """Else a secret has wide rights."""
    text = (bundling.ROOT / "roles" / role / "role.yaml").read_text()
    rights = re.findall(r"^  (/\S+): \"", text, re.MULTILINE)
    tree = bundling.ROOT / "roles" / role / "files"
    paths = [f"/{path.relative_to(tree)}".removesuffix(".j2") for path in tree.rglob("*")]
    for pattern in rights:
        assert any(fnmatchcase(path, pattern) for path in paths), pattern


@pytest.mark.parametrize("host", HOSTS)
def test_units_of_this_project_come_with_the_services_that_name_them(host: str) -> None:
    paths = {file.path for file in usual_bundle(host).files}
    for service in usual_bundle(host).services:
        if service.name.startswith("m2-"):
            unit = service.name if "." in service.name else f"{service.name}.service"
            assert f"/etc/systemd/system/{unit}" in paths


def test_mariadbd_is_started_by_nothing_but_the_agent() -> None:
    """The packaged unit is masked, and no service of a bundle is mariadbd itself."""
    for host in DATABASES:
        assert usual_file(host, "/etc/systemd/system/mariadb.service").link == "/dev/null"
        assert not [s.name for s in usual_bundle(host).services if s.name.startswith(("mariadb", "m2-mariadbd"))]
        unit = usual_file(host, "/etc/systemd/system/m2-mariadbd.service").content
        assert "Restart=no" in unit
        assert "[Install]" not in unit


@pytest.mark.parametrize("host", HOSTS)
def test_user_data_logs_people_in_by_key_with_a_host_key_that_is_known_before(host: str) -> None:
    text = usual().user_data(usual().plan.host(host))
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) < LARGEST_USER_DATA
    content = yaml.safe_load(text)
    key = usual().secrets.host_key(host)
    assert (content["ssh_keys"]["ecdsa_private"], content["ssh_keys"]["ecdsa_public"]) == (key.private, key.public)
    assert (content["ssh_pwauth"], content["disable_root"]) == (False, True)
    assert [(user["name"], user["ssh_authorized_keys"]) for user in content["users"]] == [("admin", [SSH_KEY])]


def test_user_data_of_one_host_tells_nothing_of_another() -> None:
    texts = {host: usual().user_data(usual().plan.host(host)) for host in HOSTS}
    for host, text in texts.items():
        others = [usual().secrets.host_key(other) for other in HOSTS if other != host]
        assert not [key for key in others if key.public in text]


def test_every_core_is_a_destination_of_the_balancers() -> None:
    for host in BALANCERS:
        lines = usual_file(host, "/etc/kamailio/dispatcher.list").content.splitlines()
        assert [line.split()[:2] for line in lines if not line.startswith("#")] == [
            ["1", "sip:10.0.64.1:5060;slot=1"],
            ["1", "sip:10.0.64.2:5060;slot=2"],
        ]


def test_cores_accept_the_addresses_from_which_balancers_send() -> None:
    """A call leaves a balancer from the socket of `$fs`."""
    configuration = usual_file("balancer-1", "/etc/kamailio/kamailio.cfg").content
    core_side = configuration[configuration.index("route[TO_CORE]") : configuration.index("route[TO_CARRIER]")]
    senders = set(re.findall(r'\$fs = "udp:([0-9.]+):5060"', core_side))
    assert senders
    plan = usual().plan
    sip = [o for o in openings(plan, plan.host("core-1")) if (o.at, o.ports) == ("private", "5060")]
    let_in = [IPv4Network(source) for opening in sip for source in opening.sources]
    for sender in senders:
        assert any(IPv4Network(sender).subnet_of(network) for network in let_in), f"{sender} is not let in"


@pytest.mark.parametrize("prefixes", [["49"], ["4930", "43"], [""], ["", "49"]], ids=str)
def test_every_prefix_of_a_carrier_is_routed_to_it(prefixes: list[str]) -> None:
    """'' is for all numbers that no other carrier has."""
    carrier = {"name": "gamma", "addresses": ["192.0.2.30/32"], "gateway": "192.0.2.31:5070", "prefixes": prefixes}
    rendering = renderer(carriers=[carrier])
    core = rendering.bundle(rendering.plan.host("core-1"))
    sip = [f.content for f in core.files if f.path.startswith("/etc/kamailio/")]
    routes = [line for text in sip for line in text.splitlines() if "192.0.2.31" in line]
    assert len(routes) >= len(prefixes), "no route for some prefix"


def test_the_program_says_the_bundle_to_apply() -> None:
    assert said(usual_bundle("database-1")) == as_apply_sees(usual_bundle("database-1"))


@settings(max_examples=40)
@given(st.text(), st.text(alphabet="\"'\\\n{}$`\x00\u2028é😀"))
def test_the_program_says_any_content_as_it_is(content: str, awkward: str) -> None:
    files = (File("/etc/a", content), File("/etc/b", awkward), File("/etc/c", link="/dev/null"))
    bundle = Bundle("core-1", "10.0.0.51", ("kamailio",), (), files, ())
    assert said(bundle) == as_apply_sees(bundle)


def said(bundle: Bundle) -> apply.Bundle:
    """What the program's last line gives to `main`, as Python reads it."""
    source = (bundling.ROOT / "roles" / "apply.py").read_text()
    program = bundle.program()
    assert program.startswith(source)
    [statement] = ast.parse(program.removeprefix(source)).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    [call] = statement.value.args
    assert isinstance(call, ast.Call)
    assert ast.unparse(call.func) == "main"
    return apply.parse(ast.literal_eval(call.args[0]))


def as_apply_sees(bundle: Bundle) -> apply.Bundle:
    return apply.Bundle(
        host=bundle.host,
        private_ip=bundle.private_ip,
        packages=list(bundle.packages),
        hardware_packages=list(bundle.hardware_packages),
        files=[apply.File(f.path, f.content, f.rights, f.link) for f in bundle.files],
        services=[apply.Service(s.name, list(s.restart_on), list(s.reload_on), s.reload) for s in bundle.services],
    )


def test_the_vendors_software_takes_the_place_of_the_reference_role() -> None:
    rendering = renderer(vendor=vendor("core"))
    core = rendering.bundle(rendering.plan.host("core-1"))
    files = {file.path: file for file in core.files}
    assert files["/etc/m2/vendor/core/install"].content == (bundling.ROOT / "roles" / "apply.py").read_text()
    assert files["/etc/m2/vendor/core/licence"].content == LICENCE
    assert "kamailio" not in core.packages
    assert openings(rendering.plan, rendering.plan.host("core-1")) == openings(
        usual().plan, usual().plan.host("core-1")
    )


def test_the_vendors_software_of_one_role_changes_no_other_host() -> None:
    assert changed_files(renderer(vendor=vendor("core"))).keys() == set(CORES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": "0" * 64}, r"vendor\.core\.sha256: 0{64}; allowed: "),
        ({"script": "vendor/no-such-file"}, r"vendor\.core\.script: 'vendor/no-such-file'; allowed: "),
    ],
)
def test_a_script_of_the_vendor_that_is_not_the_reviewed_one_is_refused(changes: dict[str, str], words: str) -> None:
    given = vendor("core")["core"]
    assert isinstance(given, dict)
    rendering = renderer(vendor={"core": {**given, **changes}})
    with pytest.raises(BundleError, match=words):
        rendering.bundle(rendering.plan.host("core-1"))
