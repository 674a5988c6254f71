"""
What can be asked of a site, described as OpenAPI 3.1, and a page to read it and try
it on. Nothing imports this until somebody asks for one of the two.
"""
