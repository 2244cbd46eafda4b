"""The command line: ``medai``."""
