"""
What this distribution offers: the glue, and something to try it on.
"""

from ropewalk.plugin import ServicePlugin

glue = ServicePlugin("glue", "glue")
warehouse = ServicePlugin("warehouse", "warehouse")
