"""The wire between a device and a room: JSON-RPC, Verto, and the WebSocket that carries them.

``jsonrpc``, ``verto``, ``payload`` and ``token`` are what both sides share. ``client`` is the
client's side as a state machine without I/O; ``connection`` is the socket round it.
"""
