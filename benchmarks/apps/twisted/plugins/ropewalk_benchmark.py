"""
What is measured: two strings.
"""

from ropewalk.plugin import ServicePlugin

benchmark = ServicePlugin("benchmark", "ropewalk_app")
