from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("talk", "acme.chat")
