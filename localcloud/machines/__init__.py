"""Real machines behind the local cloud's API."""

from localcloud.machines.backend import MachinesBackend

__all__ = ["MachinesBackend"]
