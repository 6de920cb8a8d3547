"""Speaks to a supervisor with PyPI's varlink clients as they come, and prints one JSON document.

usage: varlink_client.py WHAT SOCKET [ARGUMENT...]
"""

import asyncio
import json
import os
import sys
import time

INTERFACE = "io.leasehold.Supervisor"
SERVICE = "org.varlink.service"


def connect(path):
    import varlink

    client = varlink.Client("unix:" + path)
    return client, client.open(INTERFACE)


def describe(path):
    """The texts as they came, and what the client's own parser makes of ours."""
    client, _ = connect(path)
    interfaces = client.get_interfaces()
    service = client.open(SERVICE)
    texts = {name: service.GetInterfaceDescription(name)["description"] for name in interfaces}
    parsed = client.get_interface(INTERFACE)
    return {"info": client.info, "texts": texts, "members": sorted(parsed.members)}


def look(path):
    _, guest = connect(path)
    return {"child": guest.GetChild()["pid"], "status": guest.GetStatus()["status"]}


def end(path, method, *parameters):
    """Follows Monitor while a second connection ends the guest."""
    client, guest = connect(path)
    replies = client.open(INTERFACE).Monitor(_more=True)
    told = [next(replies)]
    answer = getattr(guest, method)(*map(float, parameters))
    told += list(replies)
    return {"told": told, "exit": answer["exit"]}


def refusals(path):
    """Each call that has to fail, and the exception that the client makes of it."""
    client, guest = connect(path)
    unknown = varlink_interface(client)
    calls = {
        "unknown interface": lambda: client.get_interface("no.such.Interface"),
        "unknown method": lambda: client.handler(unknown, client.open_connection()).Nonsense(),
        "negative timeout": lambda: guest.Shutdown(-1.0),
        "not in this version": lambda: guest.Resume(),
    }
    return {name: refusal(call) for name, call in calls.items()}


def varlink_interface(client):
    from varlink import Interface

    return Interface("interface %s\nmethod Nonsense() -> ()\n" % INTERFACE)


def refusal(call):
    from varlink import VarlinkError

    try:
        call()
    except VarlinkError as error:
        return {"class": type(error).__name__, "error": error.error(), "parameters": error.parameters()}
    except OSError as error:
        return {"class": type(error).__name__, "errno": error.errno}
    return None


def refusals_of_one_that_waits(path):
    _, guest = connect(path)
    return refusal(guest.GetChild)


def as_user(path, user):
    """What another user gets. Modules are loaded before, since that user may not read them."""
    import varlink

    refusal(lambda: None)
    client = varlink.Client("unix:" + path)
    handler = client.handler(varlink.Interface(open(__file__.replace("varlink_client.py", INTERFACE + ".varlink")).read()),
                             None) if False else None
    del handler
    text = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), INTERFACE + ".varlink")).read()
    client.add_interface(varlink.Interface(text))
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
    return {
        name: refusal(lambda: getattr(client.open(interface), name)())
        for interface, name in [
            (INTERFACE, "GetChild"), (INTERFACE, "GetStatus"), (INTERFACE, "Monitor"), (INTERFACE, "Kill"),
            (INTERFACE, "Shutdown"), (SERVICE, "GetInfo"),
        ]
    }


def rate(path, count):
    _, guest = connect(path)
    start = time.monotonic()
    for _ in range(int(count)):
        guest.GetChild()
    return {"seconds": time.monotonic() - start}


def with_asyncvarlink(path):
    """The other client: typed, and strict about what the types say."""
    import typing

    from asyncvarlink import VarlinkClientProtocol, VarlinkInterface, connect_unix_varlink, varlinkmethod
    from asyncvarlink.serviceinterface import VarlinkServiceInterface

    class Told(typing.TypedDict):
        status: typing.Optional[dict]

    class Supervisor(VarlinkInterface, name=INTERFACE):
        @varlinkmethod(return_parameter="pid")
        def GetChild(self) -> int: ...

    async def speak():
        transport, protocol = await connect_unix_varlink(VarlinkClientProtocol, path)
        service = protocol.make_proxy(VarlinkServiceInterface)
        info = await service.GetInfo()
        text = await service.GetInterfaceDescription(interface=INTERFACE)
        child = await protocol.make_proxy(Supervisor).GetChild()
        transport.close()
        plain = lambda value: value if isinstance(value, (dict, list, str, int)) else vars(value)
        return {"info": plain(info), "text": plain(text), "child": plain(child)}

    return asyncio.run(speak())


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:]), default=str))
