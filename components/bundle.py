"""What a host is given: files rendered from its roles, packages, and the services that use them.

A bundle is a pure function of the plan, the secrets and the public addresses. It travels to the host as
`roles/apply.py` followed by one call of its `main`, on standard input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

import jinja2
import yaml

from components.dispatch import slots
from components.openings import Opening, OpeningError, RoleOpening, resolve
from components.plan import HostPlan, Platform, SitePlan

ROOT = Path(__file__).parent.parent
PROGRAMS = "/usr/local/lib/m2"
BASE = "base"
VENDOR = "vendor"
ROLE_KEYS = {"packages", "hardware_packages", "programs", "opens", "rights", "services"}


class BundleError(ValueError):
    """A role cannot be rendered; one sentence that names the file and the reason."""


class Secrets(Protocol):
    """What templates ask of the stack's secrets; every answer is a pure function of the stack's root secret."""

    def password(self, name: str) -> str: ...

    def certificate(self, name: str, *addresses: str) -> Any: ...

    @property
    def authority(self) -> str: ...

    def host_key(self, host: str) -> Any: ...

    def keyed_hash(self, text: str) -> str: ...


@dataclass(frozen=True)
class File:
    """One file of a host; `link` instead of `content` for a symbolic link. `rights` is "mode owner:group"."""

    path: str
    content: str = ""
    rights: str = "0644 root:root"
    link: str | None = None


@dataclass(frozen=True)
class Service:
    """A systemd unit, and the path patterns whose change restarts or reloads it."""

    name: str
    restart_on: tuple[str, ...] = ()
    reload_on: tuple[str, ...] = ()
    reload: str | None = None

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Service:
        """From role.yaml. Raises KeyError without a name."""
        patterns = {key: tuple(entry.get(key, ())) for key in ("restart_on", "reload_on")}
        return cls(name=entry["name"], reload=entry.get("reload"), **patterns)


@dataclass(frozen=True)
class Role:
    """A role's `role.yaml`, rendered."""

    name: str
    packages: tuple[str, ...] = ()
    hardware_packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    opens: tuple[RoleOpening, ...] = ()
    rights: Mapping[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """Everything that `apply` needs for one host."""

    host: str
    private_ip: str
    packages: tuple[str, ...]
    hardware_packages: tuple[str, ...]
    files: tuple[File, ...]
    services: tuple[Service, ...]

    def program(self) -> str:
        """The text for the host's `python3 -`: apply's source and one call. It holds secrets."""
        call = json.dumps(json.dumps(asdict(self), sort_keys=True))
        return f"{(ROOT / 'roles' / 'apply.py').read_text()}\nsys.exit(main({call}))\n"

    def listing(self, secrets: Secrets) -> str:
        """One line a file, `# path=hash`, keyed so that it tells of a change and nothing of the content."""
        return "\n".join(f"# {file.path}={_fingerprint(file, secrets)}" for file in self.files)


@dataclass(frozen=True)
class Renderer:
    """Renders the roles of one site. `public` maps hosts and public moving addresses to IPv4 addresses."""

    plan: SitePlan
    secrets: Secrets
    public: Mapping[str, str]
    platform: Platform

    def bundle(self, host: HostPlan) -> Bundle:
        """The bundle of `host`. Raises BundleError."""
        roles = _roles(self.plan, host)
        context = {**self._context(host), "openings": openings(self.plan, host)}
        files = [file for role in roles for file in self._files(role, context)]
        files += [file for name in host.roles for file in _vendor_files(self.plan, name)]
        return Bundle(
            host=host.name,
            private_ip=host.private_ip,
            packages=_unique(p for role in roles for p in role.packages),
            hardware_packages=_unique(p for role in roles for p in role.hardware_packages),
            files=_without_conflicts(host, files),
            services=tuple(s for role in roles for s in role.services),
        )

    def user_data(self, host: HostPlan) -> str:
        """The little that cloud-init does: a login and the host key, so that `apply` can come in."""
        return _render(ROOT / "roles" / BASE / "user-data.yaml.j2", self._context(host))

    def _context(self, host: HostPlan) -> dict[str, Any]:
        return {
            "host": host,
            "site": self.plan,
            "settings": self.plan.settings,
            "secrets": self.secrets,
            "public": self.public,
            "platform": self.platform,
            "netmask": lambda network: str(IPv4Network(network).netmask),
            "slots": slots,
            "address_of": lambda at: self._address_of(host, at),
        }

    def _address_of(self, host: HostPlan, at: str) -> str:
        """The address behind `at` of an opening, as `host` sees it."""
        at = self.plan.place(at)
        if at == "private":
            return host.private_ip
        if at == "public":
            return self.public[host.name]
        return self.plan.vip(at).ip or self.public[at]

    def _files(self, role: Role, context: Mapping[str, Any]) -> Iterator[File]:
        for path, source in _sources(role):
            rights = _rights(role, path)
            if source.is_symlink() and source.readlink().is_absolute():
                yield File(path, link=str(source.readlink()))
            elif source.suffix == ".j2":
                yield File(
                    path.removesuffix(".j2"),
                    _render(source, context),
                    _rights(role, path.removesuffix(".j2")),
                )
            else:
                yield File(path, source.read_text(), rights)


def openings(plan: SitePlan, host: HostPlan) -> tuple[Opening, ...]:
    """What `host` opens and to whom. Raises BundleError."""
    opened: list[Opening] = []
    for role in _roles(plan, host):
        with _naming(f"roles/{role.name}/role.yaml"):
            opened += resolve(plan, host, role.opens)
    return tuple(opened)


def role_openings(plan: SitePlan, host: HostPlan) -> tuple[RoleOpening, ...]:
    """What the roles of `host` open, as they wrote it: to groups, and not yet to addresses. Raises BundleError."""
    return tuple(opening for role in _roles(plan, host) for opening in role.opens)


def _roles(plan: SitePlan, host: HostPlan) -> list[Role]:
    return [_role(plan, host, name) for name in (BASE, *host.roles)]


def _role(plan: SitePlan, host: HostPlan, name: str) -> Role:
    raw = _role_yaml(plan, host, name, name)
    opens = raw.get("opens", ())
    source = VENDOR if name in plan.settings["vendor"] else name
    if source == VENDOR:
        raw = _role_yaml(plan, host, VENDOR, name)
    with _naming(f"roles/{source}/role.yaml"):
        return Role(
            name=source,
            packages=tuple(raw.get("packages", ())),
            hardware_packages=tuple(raw.get("hardware_packages", ())),
            programs=tuple(raw.get("programs", ())),
            opens=tuple(RoleOpening.parse(entry) for entry in opens),
            rights={pattern: _rights_of(pattern, text) for pattern, text in raw.get("rights", {}).items()},
            services=tuple(Service.parse(entry) for entry in raw.get("services", ())),
        )


def _role_yaml(plan: SitePlan, host: HostPlan, source: str, role: str) -> dict[str, Any]:
    context = {"host": host, "site": plan, "settings": plan.settings, "role": role}
    text = _render(ROOT / "roles" / source / "role.yaml", context)
    with _naming(f"roles/{source}/role.yaml"):
        raw = dict(yaml.load(text, yaml.CSafeLoader))
        for key in raw.keys() - ROLE_KEYS:
            raise BundleError(f"{key}: there is no such key; allowed: {', '.join(sorted(ROLE_KEYS))}")
        return raw


def _vendor_files(plan: SitePlan, role: str) -> Iterator[File]:
    """The vendor's installer and licence; the installer must be the one that was reviewed."""
    if role not in plan.settings["vendor"]:
        return
    wanted = plan.settings["vendor"][role]
    script = ROOT / wanted["script"]
    if not script.is_file():
        raise BundleError(f"vendor.{role}.script: {wanted['script']!r}; allowed: a file of this repository")
    checksum = sha256(script.read_bytes()).hexdigest()
    if checksum != wanted["sha256"]:
        raise BundleError(f"vendor.{role}.sha256: {wanted['sha256']}; allowed: {checksum}, which is {wanted['script']}")
    yield File(f"/etc/m2/vendor/{role}/install", script.read_text(), "0700 root:root")
    yield File(f"/etc/m2/vendor/{role}/licence", wanted["licence"], "0600 root:root")


def _sources(role: Role) -> Iterator[tuple[str, Path]]:
    tree = ROOT / "roles" / role.name / "files"
    for source in sorted(p for p in tree.rglob("*") if p.is_symlink() or p.is_file()):
        if "__pycache__" in source.parts:
            continue
        yield f"/{source.relative_to(tree)}".removesuffix(".j2"), source
    for program in role.programs:
        for source in sorted((ROOT / program).glob("*.py")):
            yield f"{PROGRAMS}/{program}/{source.name}", source


def _rights(role: Role, path: str) -> str:
    return next((rights for pattern, rights in role.rights.items() if fnmatchcase(path, pattern)), File.rights)


def _rights_of(pattern: str, text: str) -> str:
    if not re.fullmatch(r"[0-7]{4} [a-z_][a-z0-9_-]*:[a-z_][a-z0-9_-]*", text):
        raise BundleError(f"rights of {pattern}: {text!r}; allowed: four octal digits and owner:group")
    return text


def _without_conflicts(host: HostPlan, files: list[File]) -> tuple[File, ...]:
    by_path: dict[str, File] = {}
    for file in files:
        if by_path.setdefault(file.path, file) != file:
            raise BundleError(f"{host.name}: two of its roles ({', '.join(host.roles)}) disagree about {file.path}")
    return tuple(by_path.values())


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _fingerprint(file: File, secrets: Secrets) -> str:
    return secrets.keyed_hash(f"{file.rights}\0{file.link}\0{file.content}")[:12]


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "roles"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files for hosts, not HTML
    )


def _render(source: Path, context: Mapping[str, Any]) -> str:
    name = str(source.relative_to(ROOT / "roles"))
    with _naming(f"roles/{name}"):
        return _templates().get_template(name).render(context)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Whatever goes wrong in a role says in which of its files."""
    try:
        yield
    except KeyError as error:
        raise BundleError(f"{source}: there is no {error}") from None
    except (jinja2.TemplateError, yaml.YAMLError, OpeningError, BundleError, TypeError, ValueError) as error:
        raise BundleError(f"{source}: {error}") from None
