from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("web", "acme.chat")
