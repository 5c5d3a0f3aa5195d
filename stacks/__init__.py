"""What is deployed: settings, topologies and what must hold of them."""
