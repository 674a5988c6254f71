from ropewalk.plugin import ServicePlugin

chat = ServicePlugin("chat", "beta.chat")
bank = ServicePlugin("bank", "beta.bank")