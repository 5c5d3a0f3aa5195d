"""What drills and the takeover benchmark share: clients that write, faults, and what came of both."""
