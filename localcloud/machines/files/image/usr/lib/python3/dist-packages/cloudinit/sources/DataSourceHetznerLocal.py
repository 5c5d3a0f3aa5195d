"""The stock Hetzner datasource in a container, where there is no DMI to recognise the provider by."""

# mypy: ignore-errors

from pathlib import Path

from cloudinit import sources, url_helper
from cloudinit.sources import DataSourceHetzner as hetzner  # noqa: N813

PUBLIC_DEVICE = Path("/sys/class/net/eth0")


def _instance_id_from_metadata():
    if not PUBLIC_DEVICE.exists():
        return False, None
    url = hetzner.BASE_URL_V1 + "/metadata/instance-id"
    reply = url_helper.readurl(
        url, timeout=hetzner.MD_TIMEOUT, sec_between=hetzner.MD_WAIT_RETRY, retries=hetzner.MD_RETRIES
    )
    return True, reply.contents.decode().strip()


hetzner.get_hcloud_data = _instance_id_from_metadata


class DataSourceHetznerLocal(hetzner.DataSourceHetzner):
    def __init__(self, sys_cfg, distro, paths):
        super().__init__(sys_cfg, distro, paths)
        self.dsmode = sources.DSMODE_LOCAL

    def check_instance_id(self, sys_cfg):
        return False


datasources = [(DataSourceHetznerLocal, (sources.DEP_FILESYSTEM,))]


def get_datasource_list(depends):
    return sources.list_from_depends(depends, datasources)
