import ControlProtocol

/// One value of each type with every field, and one with only what is required.
enum Samples {
    static let disk = WireDisk(path: "/dev/disk/by-path/x \"1\"", mode: .shared)

    static let lease = WireLease(
        disk: "/dev/sda", mode: .exclusive, lockspace: "__LIBVIRT__DISKS__", resource: "0123", path: "/var/lib/x",
        offset: 1 << 40, version: 7, state: .held)
    static let bareLease = WireLease(mode: .shared, lockspace: "ls", resource: "r", path: "/p", offset: 0, state: .lost)

    static let lockspace = WireLockspace(
        name: "ls", hostId: 2000, hostName: "node3", lastRenewalSeconds: 1.25, actsInSeconds: 60,
        othersMayTakeInSeconds: -1)
    static let bareLockspace = WireLockspace(name: "ls", hostId: 1)

    static let holder = WireHolder(
        guest: "db7", uuid: "u", pid: 4711, hostId: 3, hostName: "node3", since: "2025-11-22T10:11:02.000Z",
        liveness: .live)
    static let bareHolder = WireHolder(liveness: .unknown)

    static let exit = WireExit(
        name: "web1", uuid: "u", code: 3, signal: 9, reason: .leaseLost, time: "2025-11-22T10:11:02.000Z",
        leasesFree: true)
    static let bareExit = WireExit(name: "web1", uuid: "u", reason: .exited, time: "t", leasesFree: false)

    static let status = WireStatus(
        name: "web1", uuid: "u", id: 5, supervisorPid: 100, childPid: 101, state: .running, since: "t",
        command: ["qemu-system-x86_64", "-m", "2048"], driver: "sanlock", onLeaseLoss: "poweroff", watchdog: true,
        leases: [lease, bareLease], lockspaces: [lockspace, bareLockspace])
    static let bareStatus = WireStatus(
        name: "web1", uuid: "u", supervisorPid: 100, state: .acquiring, since: "t", command: [], driver: "nop",
        onLeaseLoss: "pause", watchdog: false)

    static let event = WireEvent(
        sequence: 3, time: "t", event: .leaseWarning, detail: [.init("lockspace", "ls"), .init("actsInSeconds", "12")])
    static let bareEvent = WireEvent(sequence: 0, time: "t", event: "newerThanUs")

    static let ticket = WireTicket(
        name: "web1", uuid: "u", uri: "tcp:node2:4444", running: true, disks: [disk], leases: [lease, bareLease])
    static let bareTicket = WireTicket(name: "web1", uuid: "u", uri: nil, running: false, disks: [], leases: [])

    static let values: [any WireValue] = [
        disk, lease, bareLease, lockspace, bareLockspace, holder, bareHolder, exit, bareExit, status, bareStatus, event,
        bareEvent, ticket, bareTicket,
    ]

    static let calls: [Call] = [
        .getInfo, .getInterfaceDescription(interface: "a.b"), .getChild, .getStatus,
        .acquire(disks: [disk], leases: ["ls:r:/p:0:SH"], waitSeconds: 2.5),
        .acquire(disks: [], leases: [], waitSeconds: nil),
        .release(disks: ["/dev/sda"], leases: ["ls:r"]), .suspend(release: true), .suspend(release: false), .resume,
        .prepareMigrate(uri: "tcp:node2:4444"), .completeMigrateOut(cancel: true),
        .completeMigrateIn(ticket: ["leases": [1, 2]], cancel: false), .completeMigrateIn(ticket: nil, cancel: true),
        .shutdown(timeoutSeconds: 0), .shutdown(timeoutSeconds: nil), .kill, .monitor,
        .migrate(uri: "tcp:node2:4444"), .upgrade(program: "/usr/bin/leasehold-supervisor"), .upgrade(program: nil),
    ]

    static let errors: [ControlError] = [
        .busy(disk: "/dev/sda", lease: "ls:r", holder: holder), .busy(disk: nil, lease: "ls:r", holder: nil),
        .leaseLost,
        .wrongState(state: "paused"), .notPermitted, .invalidResource(resource: "/x", why: "no such file"),
        .unavailable(why: "sanlock isn't running"), .interfaceNotFound(interface: "a.b"), .methodNotFound(method: "X"),
        .methodNotImplemented(method: "X"), .invalidParameter(parameter: "disks"), .permissionDenied, .expectedMore,
        .other(name: "a.b.C", parameters: ["x": 1]),
    ]
}
