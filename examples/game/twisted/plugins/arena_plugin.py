"""
What this distribution offers.
"""

from ropewalk.plugin import ServicePlugin

game = ServicePlugin("game", "arena")
