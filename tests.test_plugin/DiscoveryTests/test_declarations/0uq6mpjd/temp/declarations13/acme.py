from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("chat", "acme.chat")
