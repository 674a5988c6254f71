
import msgspec
requires = ["database"]
class Settings(msgspec.Struct):
    history: int = 100
def makeService(settings, host): ...
