"""The Hetzner Cloud API v1, as far as this project's programs and tools use it, in front of a `Backend`.

Facts are from the provider's reference (docs.hetzner.cloud/reference/cloud), its changelog
(docs.hetzner.cloud/changelog), docs.hetzner.com/cloud, and the sources of hcloud-go, hcloud-python and
terraform-provider-hcloud. Where those say nothing, the docstring says so.
"""
