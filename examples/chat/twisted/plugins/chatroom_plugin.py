"""
What this distribution offers: two strings. Nothing is imported until a settings
file has a table ``[chat]``.
"""

from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("chat", "chatroom")
