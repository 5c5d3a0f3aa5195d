"""What primary and floating IPs have in common: the pool, and reverse DNS."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from localcloud.hetzner import addresses
from localcloud.hetzner.body import Body
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import invalid
from localcloud.hetzner.model import FloatingIp, IpType, PrimaryIp


class ChangeDnsPtr(Body):
    """`dns_ptr` null: back to the default."""

    ip: str
    dns_ptr: str | None


class ChangeProtection(Body):
    delete: bool


def free_ip(cloud: Cloud, ip_type: IpType) -> str:
    primary = {ip.ip for ip in cloud.records.all(PrimaryIp)}
    floating = {ip.ip for ip in cloud.records.all(FloatingIp)}
    return addresses.free_public_ip(ip_type, primary | floating)


def default_dns_ptr(ip_type: IpType, ip: str) -> dict[str, str]:
    """An IPv6 network has no names until they are set; domain of the provider's own defaults replaced."""
    return {ip: f"static.{ip.replace('.', '-')}.clients.example"} if ip_type == "ipv4" else {}


def with_dns_ptr(ip: PrimaryIp | FloatingIp, body: ChangeDnsPtr) -> dict[str, str]:
    """The names after the change; raises for an address that is not this IP's."""
    if not _belongs(ip, body.ip):
        raise invalid("ip", f"{body.ip} does not belong to {ip.ip}")
    others = {address: name for address, name in ip.dns_ptr.items() if address != body.ip}
    if body.dns_ptr is not None:
        return {**others, body.ip: body.dns_ptr}
    return {**others, **default_dns_ptr(ip.type, ip.ip)}


def _belongs(ip: PrimaryIp | FloatingIp, address: str) -> bool:
    if ip.type == "ipv4":
        return address == ip.ip
    try:
        return IPv6Address(address) in IPv6Network(ip.ip)
    except ValueError:
        return False
