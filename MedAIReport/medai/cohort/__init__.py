"""Protocols and running them on cases."""
