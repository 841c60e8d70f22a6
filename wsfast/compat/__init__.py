"""Modules of wsfast with the names and calls of other modules, for libraries that would import those."""
