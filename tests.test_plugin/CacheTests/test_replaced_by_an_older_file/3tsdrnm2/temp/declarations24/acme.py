from ropewalk.plugin import ServicePlugin

talk = ServicePlugin("talk", "acme.chat")
