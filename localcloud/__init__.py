"""A cloud on this machine: a provider's API in front of real machines, and the embedded Pulumi engine."""
