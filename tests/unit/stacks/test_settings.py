"""What a stack file may say, and what is answered to one that says something else."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.settings import Settings, SettingsError, parse
from tests.unit.stacks.example import REQUIRED, ROOT_SECRET, SSH_KEY, as_text, config

PROJECT = Path(__file__).parents[3]
DEFAULTS = {name: field.get_default() for name, field in Settings.model_fields.items() if not field.is_required()}
CORES = "2 to 200"
NETWORK_LIST = "a list of IPv4 networks in CIDR notation, such as [203.0.113.7/32]"
ADMIN_NETWORKS = f"{NETWORK_LIST}, none larger than /16"
PRIVATE_NETWORK = "a private IPv4 network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16), /16 to /24"
SHA256 = "0" * 64


def errors(changes: dict[str, object], secret_keys: frozenset[str] = frozenset()) -> list[str]:
    """The lines of the one message that a stack file with these changes gets; `...` as a value removes the key."""
    with pytest.raises(SettingsError) as raised:
        parse(config(changed(changes)), secret_keys)
    return str(raised.value).splitlines()


def changed(changes: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in {**REQUIRED, **changes}.items() if value is not ...}


def carrier(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {"name": "alpha", "addresses": ["192.0.2.10/32"]}
    return {key: value for key, value in {**usual, **changes}.items() if value is not ...}


def admins(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {"ssh_from": ["203.0.113.7/32"], "ssh_keys": [SSH_KEY]}
    return {key: value for key, value in {**usual, **changes}.items() if value is not ...}


WRONG: dict[str, tuple[dict[str, object], list[tuple[str, str, str]]]] = {
    # name: (changes, [(setting, what stands there, what is allowed), ...]), one entry for each line of the message
    "an unknown key": ({"core": 3}, [("core", "no such setting", "did you mean cores?")]),
    "an unknown key that resembles none": ({"zzzzzz": 3}, [("zzzzzz", "no such setting", "topology, region")]),
    "an unknown key in a group": (
        {"server_types": {"balncer": "ccx13"}},
        [("server_types.balncer", "no such setting", "did you mean server_types.balancer?")],
    ),
    "an unknown key in a list of groups": (
        {"carriers": [carrier(), carrier(name="beta", gatway="192.0.2.1")]},
        [("carriers[1].gatway", "no such setting", "did you mean carriers[1].gateway?")],
    ),
    "an unknown key in a map of groups": (
        {"vendor": {"core": {"script": "s", "sha256": SHA256, "licens": "x"}}},
        [("vendor.core.licens", "no such setting", "did you mean vendor.core.licence?")],
    ),
    "a role of the vendor that there is not": (
        {"vendor": {"cor": {"script": "s", "sha256": SHA256}}},
        [("vendor.cor", "", "core")],
    ),
    "a checksum of a vendor's script that is none": (
        {"vendor": {"core": {"script": "s", "sha256": "abc"}}},
        [("vendor.core.sha256", "'abc'", "64 hexadecimal digits")],
    ),
    "a missing setting": ({"region": ...}, [("region", "missing", "fsn1, nbg1, hel1")]),
    "a missing secret": ({"root_secret": ...}, [("root_secret", "missing", "pulumi config set --secret root_secret")]),
    "a missing part": ({"admins": admins(ssh_keys=...)}, [("admins.ssh_keys", "missing", "OpenSSH format")]),
    "a missing part of a list entry": (
        {"carriers": [carrier(name=...)]},
        [("carriers[0].name", "missing", "lower-case letters")],
    ),
    "everything missing": (
        {"topology": ..., "region": ..., "root_secret": ..., "admins": ...},
        [
            ("topology", "missing", "full"),
            ("region", "missing", "fsn1"),
            ("root_secret", "missing", "32 characters"),
            ("admins", "missing", "ssh_from and ssh_keys"),
        ],
    ),
    "a word where a number belongs": ({"cores": "two"}, [("cores", "'two'", CORES)]),
    "a fraction where a whole number belongs": ({"cores": "2.5"}, [("cores", "'2.5'", CORES)]),
    "nothing where a number belongs": ({"cores": ""}, [("cores", "''", CORES)]),
    "a list where a number belongs": ({"cores": [2]}, [("cores", "[2]", CORES)]),
    "a word where yes or no belongs": ({"protected": "maybe"}, [("protected", "'maybe'", "true, false")]),
    "a text where an object belongs": ({"admins": "me"}, [("admins", "'me'", "ssh_from and ssh_keys")]),
    "a text where a list belongs": ({"carriers": "alpha"}, [("carriers", "'alpha'", "a list of name, addresses")]),
    "an object where a list belongs": ({"gui_from": {"a": 1}}, [("gui_from", "{'a': 1}", NETWORK_LIST)]),
    "broken JSON": ({"admins": "{ssh_from: [}"}, [("admins", "'{ssh_from: [}'", "ssh_from and ssh_keys")]),
    "too few": ({"cores": 1}, [("cores", "'1'", CORES)]),
    "too many": ({"cores": 201}, [("cores", "'201'", CORES)]),
    "a disk that is too small": ({"database_disk_gb": 9}, [("database_disk_gb", "'9'", "10 to 10240")]),
    "a probe that never comes": ({"probe_interval": 0}, [("probe_interval", "'0'", "1 to 30")]),
    "an epoch before the first": ({"secrets_epoch": 0}, [("secrets_epoch", "'0'", "1 or more")]),
    "a call without end": ({"max_call_hours": 25}, [("max_call_hours", "'25'", "1 to 24")]),
    "a privileged SIP port": ({"sip_port": 1023}, [("sip_port", "'1023'", "1024 to 65535")]),
    "a short root secret": ({"root_secret": "short"}, [("root_secret", "[secret]", "at least 32 characters")]),
    "a region that there is not": ({"region": "fsn2"}, [("region", "'fsn2'", "fsn1, nbg1, hel1, ash, hil, sin")]),
    "a topology that there is not": ({"topology": "fulll"}, [("topology", "'fulll'", "full")]),
    "SSH open to the world": (
        {"admins": admins(ssh_from=["0.0.0.0/0"])},
        [("admins.ssh_from[0]", "'0.0.0.0/0'", ADMIN_NETWORKS)],
    ),
    "SSH open to half a million addresses": (
        {"admins": admins(ssh_from=["203.0.0.0/16", "198.18.0.0/15"])},
        [("admins.ssh_from[1]", "'198.18.0.0/15'", ADMIN_NETWORKS)],
    ),
    "SSH open to nobody": ({"admins": admins(ssh_from=[])}, [("admins.ssh_from", "[]", ADMIN_NETWORKS)]),
    "a key that is none": (
        {"admins": admins(ssh_keys=["AAAA me"])},
        [("admins.ssh_keys[0]", "'AAAA me'", "OpenSSH format")],
    ),
    "two keys in one text": (
        {"admins": admins(ssh_keys=[f"{SSH_KEY}\n{SSH_KEY}"])},
        [("admins.ssh_keys[0]", "someone", "OpenSSH format")],
    ),
    "an address with host bits": (
        {"gui_from": ["203.0.113.7/24"]},
        [("gui_from[0]", "'203.0.113.7/24'", NETWORK_LIST)],
    ),
    "an IPv6 network": ({"gui_from": ["2001:db8::/32"]}, [("gui_from[0]", "'2001:db8::/32'", NETWORK_LIST)]),
    "a public network": ({"network": "8.8.0.0/16"}, [("network", "'8.8.0.0/16'", PRIVATE_NETWORK)]),
    "a network that is too large": ({"network": "10.0.0.0/15"}, [("network", "'10.0.0.0/15'", PRIVATE_NETWORK)]),
    "a network that is too small": ({"network": "10.0.0.0/25"}, [("network", "'10.0.0.0/25'", PRIVATE_NETWORK)]),
    "the loopback network": ({"network": "127.0.0.0/16"}, [("network", "'127.0.0.0/16'", PRIVATE_NETWORK)]),
    "the metadata service's network": (
        {"network": "169.254.0.0/16"},
        [("network", "'169.254.0.0/16'", PRIVATE_NETWORK)],
    ),
    "the documentation's network": ({"network": "192.0.2.0/24"}, [("network", "'192.0.2.0/24'", PRIVATE_NETWORK)]),
    "media ports backwards": ({"rtp_ports": "9000-8000"}, [("rtp_ports", "'9000-8000'", "first-last")]),
    "one media port": ({"rtp_ports": 9000}, [("rtp_ports", "'9000'", "first-last, 1024 to 65535")]),
    "media ports beyond the last": ({"rtp_ports": "9000-65536"}, [("rtp_ports", "'9000-65536'", "first-last")]),
    "a gateway's port beyond the last": (
        {"carriers": [carrier(gateway="192.0.2.1:65536")]},
        [("carriers[0].gateway", "'192.0.2.1:65536'", "an IPv4 address, or address:port")],
    ),
    "a gateway by name": (
        {"carriers": [carrier(gateway="sip.example.org")]},
        [("carriers[0].gateway", "'sip.example.org'", "an IPv4 address, or address:port")],
    ),
    "letters in a prefix": (
        {"carriers": [carrier(gateway="192.0.2.1", prefixes=["49x"])]},
        [("carriers[0].prefixes[0]", "'49x'", "a list of digits")],
    ),
    "a carrier's name that does not fit a call record": (
        {"carriers": [carrier(name="a" * 32)]},
        [("carriers[0].name", repr("a" * 32), "at most 31 characters")],
    ),
    "a bastion without its host key": (
        {"bastion": {"host": "203.0.113.9"}},
        [("bastion.host_key", "missing", "ssh-ed25519")],
    ),
    "a rebuild of a host that there is not": (
        {"rebuild": {"core-3": 1}},
        [("rebuild.core-3", "no such host", "core-2")],
    ),
    "a rebuild that counts backwards": ({"rebuild": {"core-1": -1}}, [("rebuild.core-1", "-1", "0 or more")]),
    "a rebuild that does not count": ({"rebuild": {"core-1": "x"}}, [("rebuild.core-1", "'x'", "count")]),
    "SIP among the media ports": (
        {"sip_port": 20000},
        [("sip_port", "20000", "outside of it")],
    ),
    "more cores than the network holds": (
        {"network": "10.0.0.0/24", "cores": 63},
        [("cores", "63", "at most 62 in network 10.0.0.0/24")],
    ),
    "two carriers of one name": (
        {"carriers": [carrier(), carrier(addresses=["192.0.2.11/32"])]},
        [("carriers", "'alpha'", "each name once")],
    ),
    "two carriers for one prefix": (
        {
            "carriers": [
                carrier(gateway="192.0.2.1", prefixes=["49"]),
                carrier(name="beta", gateway="192.0.2.2", prefixes=["49"]),
            ]
        },
        [("carriers", "prefix '49' goes to alpha, beta", "one carrier for a prefix")],
    ),
    "prefixes that lead nowhere": (
        {"carriers": [carrier(prefixes=["49"])]},
        [("carriers", "alpha has prefixes and no gateway", "a gateway")],
    ),
    "a carrier inside the private network": (
        {"carriers": [carrier(addresses=["10.0.7.0/24"])]},
        [("carriers", "10.0.7.0/24", "outside of it")],
    ),
    "a gateway inside the private network": (
        {"carriers": [carrier(gateway="10.0.7.1:5060")]},
        [("carriers", "10.0.7.1:5060", "outside of it")],
    ),
    "one of each kind": (
        {
            "region": ...,
            "cores": "two",
            "probe_intervall": 3,
            "admins": admins(ssh_from=["0.0.0.0/0"], ssh_keys=..., ssh_port=22),
            "carriers": [carrier(gateway="nowhere"), carrier(name="Beta")],
            "sip_port": 20000,
            "rebuild": {"core-1": "x"},
        },
        [
            ("probe_intervall", "no such setting", "did you mean probe_interval?"),
            ("region", "missing", "fsn1"),
            ("admins.ssh_from[0]", "'0.0.0.0/0'", "/16"),
            ("admins.ssh_keys", "missing", "OpenSSH"),
            ("admins.ssh_port", "no such setting", "ssh_"),
            ("carriers[0].gateway", "'nowhere'", "IPv4 address"),
            ("carriers[1].name", "'Beta'", "lower-case"),
            ("cores", "'two'", CORES),
            ("rebuild.core-1", "'x'", "count"),
            ("sip_port", "20000", "outside of it"),
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_stack_file_gets_all_of_its_errors_each_with_setting_value_and_what_is_allowed(name: str) -> None:
    changes, expected = WRONG[name]
    lines = errors(changes)
    assert len(lines) == len(expected), lines
    for setting, value, allowed in expected:
        matching = [line for line in lines if line.startswith(f"{setting}: ")]
        assert matching, f"no line about {setting} in {lines}"
        assert any(value in line and allowed in line for line in matching), matching


def test_no_error_hides_another() -> None:
    alone = [
        "an unknown key",
        "an unknown key in a group",
        "a missing setting",
        "a missing part",
        "a word where yes or no belongs",
        "an object where a list belongs",
        "a disk that is too small",
        "a short root secret",
        "media ports backwards",
        "two carriers of one name",
        "more cores than the network holds",
        "a bastion without its host key",
    ]
    together: dict[str, object] = {}
    for name in alone:
        assert not together.keys() & WRONG[name][0].keys(), f"{name} would replace another"
        together |= WRONG[name][0]
    assert sorted(errors(together)) == sorted(line for name in alone for line in errors(WRONG[name][0]))


@pytest.mark.parametrize(
    ("changes", "secret_keys", "hidden"),
    [
        ({"root_secret": "hunter2"}, (), "hunter2"),
        ({"root_secret": ["hunter2"]}, (), "hunter2"),
        ({"root_secret": {"value": "hunter2"}}, (), "hunter2"),
        ({"vendor": {"core": {"script": "s", "sha256": "x", "licence": "hunter2"}}}, ("vendor",), "hunter2"),
        ({"vendor": {"core": {"script": "s", "sha256": SHA256, "licence": ["hunter2"]}}}, ("vendor",), "hunter2"),
        ({"vendor": {"core": {"script": "s", "licence": "hunter2"}}}, ("vendor",), "hunter2"),
        ({"vendor": "hunter2"}, ("vendor",), "hunter2"),
        ({"carriers": "hunter2"}, ("carriers",), "hunter2"),
        ({"rebuild": {"core-1": "hunter2"}}, ("rebuild",), "hunter2"),
        ({"no_such_setting": "hunter2"}, ("no_such_setting",), "hunter2"),
        ({"admins": {"ssh_from": "hunter2", "ssh_keys": "hunter2"}}, ("admins",), "hunter2"),
    ],
)
def test_a_secret_value_is_never_shown(changes: dict[str, object], secret_keys: tuple[str, ...], hidden: str) -> None:
    text = "\n".join(errors(changes, frozenset(f"m2:{key}" for key in secret_keys)))
    assert hidden not in text


@pytest.mark.parametrize("part", [{"addresses": ["10.0.7.7/32"]}, {"gateway": "10.0.7.7"}])
def test_a_secret_value_is_not_shown_by_a_rule_that_spans_settings_either(part: dict[str, object]) -> None:
    text = "\n".join(errors({"carriers": [carrier(**part)]}, frozenset({"m2:carriers"})))
    assert "10.0.7.7" not in text


def test_the_required_settings_are_enough_and_the_others_have_their_defaults() -> None:
    chosen = parse(config(REQUIRED))
    assert {name: getattr(chosen, name) for name in DEFAULTS} == DEFAULTS
    assert chosen.root_secret == ROOT_SECRET
    assert chosen.admins.ssh_from == [IPv4Network("203.0.113.7/32")]


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("cores", "7", 7),
        ("protected", "false", False),
        ("protected", "true", True),
        ("network", "192.168.0.0/20", IPv4Network("192.168.0.0/20")),
        ("gui_from", '["198.51.100.0/24"]', [IPv4Network("198.51.100.0/24")]),
        ("rebuild", '{"core-2": 3}', {"core-2": 3}),
        ("rtp_ports", "10000-20000", "10000-20000"),
        ("region", "hel1", "hel1"),
    ],
)
def test_values_are_read_as_pulumi_hands_them_over(setting: str, text: str, value: object) -> None:
    assert getattr(parse(config({**REQUIRED, setting: text})), setting) == value


def test_nested_values_are_read_from_json() -> None:
    given = {
        "carriers": [carrier(gateway="192.0.2.1:5070", prefixes=["", "49"])],
        "server_types": {"core": "ccx33"},
        "vendor": {"gui": {"script": "vendor/gui", "sha256": SHA256, "licence": "abc"}},
        "bastion": {"host": "bastion.example.org", "port": 2222, "host_key": SSH_KEY},
    }
    chosen = parse(config({**REQUIRED, **given}))
    assert chosen.carriers[0].prefixes == ["", "49"]
    assert chosen.server_types.core == ("ccx33",)
    assert chosen.server_types.balancer == Settings.model_fields["server_types"].get_default().balancer
    assert chosen.vendor["gui"].licence == "abc"
    assert chosen.bastion is not None
    assert (chosen.bastion.port, chosen.bastion.user) == (2222, "root")


@pytest.mark.parametrize("secret", ["[" * 32, "{" * 40, "[1, 2, 3] and then more than thirty-two"])
def test_a_root_secret_that_looks_like_the_beginning_of_json_is_a_text(secret: str) -> None:
    assert parse(config({**REQUIRED, "root_secret": secret})).root_secret == secret


def test_keys_of_other_namespaces_are_not_judged() -> None:
    parse({**config(REQUIRED), "hcloud:token": "t" * 64, "aws:region": "eu-central-1"})


@pytest.mark.parametrize("prefix", ["10", "172.16", "172.31", "192.168"])
def test_every_private_range_may_be_the_network(prefix: str) -> None:
    network = ".".join([*prefix.split("."), "0", "0", "0"][:4]) + "/16"
    assert parse(config({**REQUIRED, "network": network})).network == IPv4Network(network)


def declared() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"])


@pytest.mark.parametrize("key", declared())
def test_a_setting_declared_in_the_project_file_is_an_optional_one_with_the_same_default(key: str) -> None:
    """The CLI stops at the first declared setting that is missing, so none that is required may be declared."""
    assert key in DEFAULTS
    assert parse(config({**REQUIRED, key: as_text(declared()[key])})) == parse(config(REQUIRED))
    assert declared()[key] == DEFAULTS[key]


def test_a_declared_setting_has_no_type_which_would_make_the_cli_stop_at_the_first_error() -> None:
    assert not [key for key, value in declared().items() if isinstance(value, dict)]


def test_every_setting_says_what_it_is_for_and_what_is_allowed() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert isinstance(field.json_schema_extra, dict), name
        assert field.json_schema_extra["allowed"], name


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("mm:cores", "did you mean m2:cores?"),
        ("m2.region", "did you mean m2:region?"),
        ("x:y", "allowed: keys that begin"),
    ],
)
def test_a_key_that_nothing_reads_is_named_with_the_nearest_one(key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{re.escape(key)}: there is no such setting; {re.escape(said)}"):
        parse({**config(REQUIRED), key: "3"})
