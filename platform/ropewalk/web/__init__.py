"""
Pages: the site, what is mounted on it, and how errors look to a web client.
"""
