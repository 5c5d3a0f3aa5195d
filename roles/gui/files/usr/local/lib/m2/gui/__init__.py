"""The web page of a site: what its databases and cores do now, and its calls. Runs on Debian 12's own packages."""
