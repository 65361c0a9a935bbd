"""How an installation is put on a host: `peers` (whom it may talk to) -> `units` (systemd's files, from settings)."""
