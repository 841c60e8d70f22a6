"""What ``wsaccel`` is: the masks and the UTF-8 validator that some WebSocket libraries use if they find it.

``wsfast.install("wsaccel")`` makes ``import wsaccel`` mean this package, for whoever does so afterwards:
gevent-websocket, lomond, older autobahn, and websocket-client (for which there is an adapter that does
more). Names, arguments and results are those of wsaccel 0.6.7; errors have its types but for a few of
arguments of wrong types, and texts of their own. What it has beyond that, functions that patch two
libraries of its time, is not here.
"""

__all__: list[str] = []

#: The version of wsaccel whose calls these are.
__version__ = "0.6.7"
