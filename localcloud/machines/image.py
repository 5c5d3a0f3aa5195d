"""The golden image: a Debian root file system with every role's packages, built once and cached."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import ChainableUndefined, Environment

from localcloud.backend import BackendError
from localcloud.machines.commands import run

SUITE = "bookworm"
CACHE = Path("/var/cache/m2-localcloud")
FILES = Path(__file__).parent / "files"
ROLES = Path(__file__).parents[2] / "roles"
MIRROR_VARIABLE = "M2_DEBIAN_MIRROR"
SYSTEM = ("systemd", "systemd-sysv", "dbus", "cloud-init", "curl", "iputils-ping", "procps")
"""What a server of the provider has before any role."""
ALONE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""In namespaces of its own and dead with whoever started it: nothing of a build outlives it."""
BUILD = (*ALONE, str(FILES / "build-image"))
KEPT_S = 24 * 3600
INGREDIENTS = ("build-image", "provision", "image")


@dataclass(frozen=True)
class Sources:
    """Where packages come from: the main mirror (None: debootstrap's own default) and apt's source lines."""

    mirror: str | None
    lines: tuple[str, ...]


def packages(roles: Path = ROLES) -> tuple[str, ...]:
    """Everything that a role may install: in the local cloud nothing answers for a mirror."""
    # A role.yaml is a template of a host's settings, which no package depends on.
    templates = Environment(undefined=ChainableUndefined, autoescape=False)  # noqa: S701 - YAML, not HTML
    wanted = set(SYSTEM)
    for role in roles.glob("*/role.yaml"):
        content = yaml.load(templates.from_string(role.read_text()).render(), Loader=yaml.CSafeLoader)
        wanted |= set(content.get("packages", ()))
    return tuple(sorted(wanted))


def place() -> Path:
    """Where the image is, or will be; the name changes with anything that decides its content."""
    content = hashlib.sha256("\n".join((SUITE, *packages())).encode())
    for file in _ingredients():
        content.update(f"{file.relative_to(FILES)}\n".encode() + file.read_bytes())
    return CACHE / f"image-{content.hexdigest()[:12]}"


def find() -> Path:
    """The built image; BackendError when there is none."""
    if not place().exists():
        raise BackendError(f"the image of the machines is not built ({place()}); run: scripts/localcloud up")
    os.utime(place())
    return place()


def build(progress: Callable[[str], None]) -> Path:
    """The image, built now if it is not there; `progress` gets the name of each stage as it begins."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone():
        if not place().exists():
            _build(place(), progress)
    return place()


def fetch(wanted: Sequence[str], folder: Path) -> None:
    """Debian packages that the image has not, with what they need beyond it, as files in `folder`; once.

    Raises BackendError.
    """
    if folder.exists():
        return
    with _alone(), tempfile.TemporaryDirectory(dir=CACHE) as work:
        unfinished = Path(work) / "packages"
        _, apt = _apt_of_host(Path(work))
        what = {"IMAGE": str(find()), "FOLDER": str(unfinished), "PACKAGES": " ".join(wanted)}
        command = (*ALONE, str(FILES / "fetch-packages"))
        _follow(command, {**os.environ, **apt, **what}, CACHE / "fetch.log", lambda _: None)
        unfinished.rename(folder)


def outdated() -> list[Path]:
    """Images of former contents that nobody has used for a day: another checkout may stand on one."""
    used = time.time() - KEPT_S
    return [path for path in CACHE.glob("image-*") if path != place() and path.stat().st_mtime < used]


def sources(targets: str, mirror: str | None) -> Sources:
    """From `apt-get indextargets` of a host, which may know no Debian mirror; `mirror` overrides the host's."""
    sites = dict(_debian_sites(targets))
    main = mirror or sites.get("main")
    if main is None:
        return Sources(None, ())
    lines = [f"deb {main} {SUITE} main", f"deb {main} {SUITE}-updates main"]
    if "security" in sites and not mirror:
        lines.append(f"deb {sites['security']} {SUITE}-security main")
    return Sources(main, tuple(lines))


def _debian_sites(targets: str) -> Iterator[tuple[str, str]]:
    for line in reversed(targets.splitlines()):
        origin, release, component, site = line.split("|")
        if origin == "Debian" and component == "main":
            yield ("security" if release.endswith("-security") else "main"), _first_mirror(site)


def _first_mirror(site: str) -> str:
    """Debian's own cloud images name a file that lists mirrors."""
    if site.startswith("mirror+file:"):
        return Path(site.removeprefix("mirror+file:")).read_text().split()[0]
    return site


def _ingredients() -> list[Path]:
    found = [path for name in INGREDIENTS for path in (FILES / name, *(FILES / name).rglob("*"))]
    return sorted(path for path in found if path.is_file())


@contextmanager
def _alone() -> Iterator[None]:
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(image: Path, progress: Callable[[str], None]) -> None:
    unfinished = CACHE / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    root = unfinished / "root"
    root.mkdir(parents=True, mode=0o755)
    _follow(BUILD, _environment(unfinished, root), CACHE / "build.log", progress)
    root.rename(image)
    shutil.rmtree(unfinished)


def _environment(work: Path, root: Path) -> dict[str, str]:
    """What the file `build-image` reads; its input files are left in `work`."""
    found, files = _apt_of_host(work)
    return {
        **os.environ,
        **files,
        "ROOT": str(root),
        "SUITE": SUITE,
        "MIRROR": found.mirror or "",
        "FILES": str(FILES),
        "PACKAGES": " ".join(packages()),
    }


def _apt_of_host(work: Path) -> tuple[Sources, dict[str, str]]:
    """Where this host gets packages from, and files in `work` that say so to another apt."""
    format = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(SITE)"
    targets = run(["apt-get", "indextargets", "--format", format, "Created-By: Packages"])
    found = sources(targets, os.environ.get(MIRROR_VARIABLE))
    (work / "sources").write_text("\n".join((*found.lines, "")))
    (work / "apt-options").write_text(run(["apt-config", "dump", "Acquire"]))
    return found, {"SOURCES": str(work / "sources"), "APT_OPTIONS": str(work / "apt-options")}


def _follow(argv: Sequence[str], environment: dict[str, str], log: Path, progress: Callable[[str], None]) -> None:
    last = ""
    with (
        log.open("w") as record,
        subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        for line in process.stdout or ():
            record.write(line)
            last = line.strip() or last
            if line.startswith("stage: "):
                progress(line.removeprefix("stage: ").strip())
    if process.returncode:
        raise BackendError(
            f"the image could not be built: {last} (all of it in {log}). If no Debian mirror could be reached, "
            f"set {MIRROR_VARIABLE} to the address of one"
        )
