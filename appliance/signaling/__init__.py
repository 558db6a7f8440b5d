"""The wire between a device and a room: JSON-RPC, Verto, and the WebSocket that carries them.

``jsonrpc``, ``verto``, ``payload`` and ``token`` are what both sides share. ``client`` is the
client's side as a state machine without I/O, ``exchange`` runs it over one ``link`` at a time, and
``connection`` is what lasts over all of them.
"""
