"""
Protocols below and beside HTTP: listening, text lines, WebSockets.
"""
