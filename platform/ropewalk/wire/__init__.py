"""Bytes to events and back: no Twisted in here."""
