# -*- test-case-name: tests.test_proxying -*-
"""
A reverse proxy: requests are passed on to other servers while they come, and answers
while they are made.
"""

from ropewalk.web.proxying.proxied import Proxied, ProxyMounting, Terms, proxy

__all__ = ["Proxied", "ProxyMounting", "Terms", "proxy"]
