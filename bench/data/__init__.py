"""Captured WebSocket streams, shipped as ``wsfast._traffic``; read them with :mod:`wsfast.traffic`."""
