"""
What this distribution offers.
"""

from ropewalk.plugin import ServicePlugin

greeting = ServicePlugin("greeting", "greeting")
