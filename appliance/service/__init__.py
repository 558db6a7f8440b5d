"""The device as a daemon: wires hardware, media, room and panel together, and keeps them going."""
