"""Measure on this machine, always side by side with a peer in the same run; what counts are the ratios.

Each benchmark is a command here and a module in scripts/benchmarks. It runs in a host of its own (network, processes,
mounts), so that a local cloud that is up here is left alone and nothing stays behind.
"""

from __future__ import annotations

import sys

import typer

from components.logins import LoginError
from localcloud.backend import BackendError
from scripts.benchmarks import BenchmarkError, say, sip, takeover, up
from scripts.calls import CallError
from scripts.database_pair import PairError
from scripts.drills.clients import ClientError
from scripts.engines import StackError
from scripts.localcloud import LocalCloudError

ERRORS = (
    BackendError,
    BenchmarkError,
    CallError,
    ClientError,
    LocalCloudError,
    LoginError,
    PairError,
    StackError,
)

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
app.command("up")(up.main)
app.command("takeover")(takeover.main)
app.command("sip")(sip.main)


@app.callback()
def _root() -> None:
    """A callback keeps `up` a subcommand also while there is no other."""


def main() -> None:
    """Ends the process."""
    try:
        app()
    except ERRORS as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
