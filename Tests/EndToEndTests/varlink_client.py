"""Speaks to a supervisor with PyPI's varlink clients as they come, and prints one JSON document.

usage: varlink_client.py WHAT SOCKET [ARGUMENT...]
"""

import asyncio
import collections.abc
import json
import os
import socket
import sys
import time
import typing

import varlink
from asyncvarlink import VarlinkClientProtocol, VarlinkInterface, connect_unix_varlink, varlinkmethod
from asyncvarlink.serviceinterface import VarlinkServiceInterface

INTERFACE = "io.leasehold.Supervisor"
SERVICE = "org.varlink.service"


def connect(path):
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


def refusal(call):
    """The exception that the client makes of what is answered; None where the call goes through."""
    try:
        call()
    except varlink.VarlinkError as error:
        return {"class": type(error).__name__, "error": error.error(), "parameters": error.parameters()}
    except OSError as error:
        return {"class": type(error).__name__}
    return None


def refusals(path):
    """Calls that have to fail while a guest runs."""
    client, guest = connect(path)
    nonsense = varlink.Interface("interface %s\nmethod Nonsense() -> ()\n" % INTERFACE)
    calls = {
        "unknown interface": lambda: client.get_interface("no.such.Interface"),
        "unknown method": lambda: client.handler(nonsense, client.open_connection()).Nonsense(),
        "negative timeout": lambda: guest.Shutdown(-1.0),
        "nothing to resume": guest.Resume,
        "none": guest.GetChild,
    }
    return {name: refusal(call) for name, call in calls.items()}


def readme_flow(source, target, disk, monitor, uri):
    """The README's sequences on a guest of one host and its target on another; what each step told."""
    here = varlink.Client.new_with_address(f"unix:{source}").open(INTERFACE)
    there = varlink.Client.new_with_address(f"unix:{target}").open(INTERFACE)
    told = {"child": here.GetChild()["pid"]}
    told["attached"] = here.Acquire([{"path": disk, "mode": "exclusive"}], None, None)["acquired"][0]["state"]
    here.Release([disk], None)
    here.Suspend(False)
    told["suspended"] = here.GetStatus()["status"]["state"]
    here.Resume()
    here.Suspend(True)
    told["given back"] = here.GetStatus()["status"]["leases"][0]["state"]
    here.Resume()
    told["version"] = here.GetStatus()["status"]["leases"][0]["version"]
    here.PrepareMigrate(uri)
    migrate(monitor, uri)
    ticket = here.CompleteMigrateOut(False)["ticket"]
    there.CompleteMigrateIn(ticket, None)
    told["target"] = there.GetStatus()["status"]
    told["source's end"] = here.Shutdown(5.0)["exit"]["reason"]
    told["target's end"] = there.Shutdown(5.0)["exit"]["reason"]
    return told


def migrate(path, uri):
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(path)
    lines = monitor.makefile("rw")
    lines.readline()
    for call in {"execute": "qmp_capabilities"}, {"execute": "migrate", "arguments": {"uri": uri}}:
        lines.write(json.dumps(call) + "\n")
        lines.flush()
        lines.readline()
    monitor.close()


def child_refusal(path):
    _, guest = connect(path)
    return refusal(guest.GetChild)


def as_user(path, user):
    """What another user gets of each method, who knows the interface already."""
    client = varlink.Client("unix:" + path)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), INTERFACE + ".varlink")) as text:
        client.add_interface(varlink.Interface(text.read()))
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
    methods = [(SERVICE, "GetInfo")]
    methods += [(INTERFACE, name) for name in ("GetChild", "GetStatus", "Monitor", "Shutdown", "Kill")]
    return {name: refusal(lambda: getattr(client.open(interface), name)()) for interface, name in methods}


def rate(path, count):
    _, guest = connect(path)
    start = time.monotonic()
    for _ in range(int(count)):
        guest.GetChild()
    return {"seconds": time.monotonic() - start}


class Event(typing.TypedDict):
    sequence: int
    time: str
    event: str
    detail: dict[str, str]


class Exit(typing.TypedDict):
    name: str
    uuid: str
    code: typing.Optional[int]
    signal: typing.Optional[int]
    reason: str
    time: str
    leasesFree: bool


class Lease(typing.TypedDict):
    disk: typing.Optional[str]
    mode: str
    lockspace: str
    resource: str
    path: str
    offset: int
    version: typing.Optional[int]
    state: str


class Lockspace(typing.TypedDict):
    name: str
    hostId: int
    hostName: typing.Optional[str]
    lastRenewalSeconds: typing.Optional[float]
    actsInSeconds: typing.Optional[float]
    othersMayTakeInSeconds: typing.Optional[float]


class Status(typing.TypedDict):
    name: str
    uuid: str
    id: typing.Optional[int]
    supervisorPid: int
    childPid: typing.Optional[int]
    state: str
    since: str
    command: list[str]
    driver: str
    onLeaseLoss: str
    watchdog: bool
    leases: list[Lease]
    lockspaces: list[Lockspace]


class Told(typing.TypedDict):
    status: typing.Optional[Status]
    event: typing.Optional[Event]


class Supervisor(VarlinkInterface, name=INTERFACE):
    @varlinkmethod(return_parameter="pid")
    def GetChild(self) -> int: ...

    @varlinkmethod
    def Monitor(self) -> collections.abc.Iterator[Told]: ...

    @varlinkmethod(return_parameter="exit")
    def Kill(self) -> Exit: ...


async def kill_with_asyncvarlink(path):
    """The other client: typed, and strict about the types."""
    watching, watcher = await connect_unix_varlink(VarlinkClientProtocol, path)
    calling, caller = await connect_unix_varlink(VarlinkClientProtocol, path)
    service = caller.make_proxy(VarlinkServiceInterface)
    info = await service.GetInfo()
    text = await service.GetInterfaceDescription(interface=INTERFACE)
    child = await caller.make_proxy(Supervisor).GetChild()
    told = [await anext(replies := aiter(watcher.make_proxy(Supervisor).Monitor()))]
    exit = await caller.make_proxy(Supervisor).Kill()
    told += [reply async for reply in replies]
    watching.close()
    calling.close()
    return {"info": info, "text": text, "child": child, "told": told, "exit": exit}


if __name__ == "__main__":
    result = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(asyncio.run(result) if asyncio.iscoroutine(result) else result))
