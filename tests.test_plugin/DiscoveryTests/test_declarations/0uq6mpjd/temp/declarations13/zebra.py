from ropewalk.plugin import ServicePlugin
bank = ServicePlugin("bank", "acme.bank")
