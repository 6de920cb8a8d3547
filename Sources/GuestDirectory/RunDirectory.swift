import ControlProtocol
import Glibc
import Platform

/// Where supervisors leave what others need to find their guests.
///
///     guests/NAME/control, state.json, child.pid, supervisor.pid
///     exits/NAME.json
public struct RunDirectory: Equatable, Sendable {
    /// Its path, without a slash at the end.
    public let path: String

    /// The directory that the environment names (`LEASEHOLD_RUN_DIR`), else the configured one, else the default:
    /// `/run/leasehold`, and `$XDG_RUNTIME_DIR/leasehold` for users other than root.
    public init(configured: String?) {
        let named = RunDirectory.variable("LEASEHOLD_RUN_DIR") ?? configured
        let own = geteuid() == 0 ? nil : RunDirectory.variable("XDG_RUNTIME_DIR").map { "\($0)/leasehold" }
        var path = named ?? own ?? "/run/leasehold"
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// The one at this path.
    public init(at path: String) {
        self.path = path
    }

    /// The directories of guests, one below another.
    public var guests: String { "\(path)/guests" }
    /// The directory of exit records.
    public var exits: String { "\(path)/exits" }

    /// The directory of one guest.
    public func guest(_ name: GuestName) -> GuestPaths {
        GuestPaths(directory: "\(guests)/\(name.fileName)")
    }

    /// The last exit record of a guest.
    public func exitRecord(of name: GuestName) -> String { "\(exits)/\(name.fileName).json" }

    /// All guests that have a directory now, by their file names, sorted.
    public func guestDirectories() -> [GuestPaths] {
        ((try? Files.names(in: guests)) ?? []).sorted().map { GuestPaths(directory: "\(guests)/\($0)") }
    }

    /// Throws where there are guests of somebody whose guests this user may not see.
    public func checkReadable() throws(SystemError) {
        do throws(SystemError) { _ = try Files.names(in: guests) } catch {
            if error.number == EACCES || error.number == EPERM { throw error }
        }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// The files of one guest.
public struct GuestPaths: Equatable, Sendable {
    /// Where they are.
    public let directory: String
    /// The control socket.
    public var control: String { "\(directory)/control" }
    /// The guest's status when it last changed.
    public var state: String { "\(directory)/state.json" }
    /// The guest's pid and a newline.
    public var childPid: String { "\(directory)/child.pid" }
    /// The supervisor's pid and a newline; the supervisor holds a lock on it for as long as it lives.
    public var supervisorPid: String { "\(directory)/supervisor.pid" }

    /// The guest's name as its directory has it.
    public var fileName: String { directory.split(separator: "/").last.map(String.init) ?? directory }

    /// The pid of the supervisor that lives, as the kernel tells; nil where none does.
    public var livingSupervisor: Int32? { LifeLock.holder(of: supervisorPid) }

    /// Whether one lives, at the cost of one look.
    var hasLivingSupervisor: Bool { LifeLock.isHeld(supervisorPid) }

    /// What was written of the guest last; nil where nothing readable is there.
    public func readState() -> GuestState? {
        guard let bytes = try? Files.read(state, limit: Framer.longestReplyBytes), let json = try? JSON(parsing: bytes),
            let status = try? WireStatus(json: json), case .object(let object) = json
        else { return nil }
        var child: ProcessIdentity?
        if let pid = status.childPid, case .integer(let start) = object["childStartTime"],
            let startTime = UInt64(exactly: start)
        {
            child = ProcessIdentity(pid: pid, startTime: startTime)
        }
        var socket: UInt64?
        if case .integer(let inode) = object["leaseSocketInode"] { socket = UInt64(exactly: inode) }
        var events: [WireEvent] = []
        if case .array(let list) = object["events"] { events = list.compactMap { try? WireEvent(json: $0) } }
        var pidFiles: [String] = []
        if case .array(let list) = object["pidFiles"] { pidFiles = list.compactMap(\.stringValue) }
        // Pids, start times and inodes of an earlier boot are other processes' now.
        guard case .string(let boot) = object["bootId"], boot == Boot.id else {
            return GuestState(status: status, child: nil, leaseSocket: nil, events: events, pidFiles: pidFiles)
        }
        return GuestState(status: status, child: child, leaseSocket: socket, events: events, pidFiles: pidFiles)
    }

    /// Writes it, whole.
    public func write(_ state: GuestState) throws(SystemError) {
        guard case .object(var object) = state.status.json else { return }
        object["childStartTime"] = state.child.map { .integer(Int64(clamping: $0.startTime)) }
        object["leaseSocketInode"] = state.leaseSocket.map { .integer(Int64(clamping: $0)) }
        if !state.pidFiles.isEmpty { object["pidFiles"] = .array(state.pidFiles.map(JSON.string)) }
        object["bootId"] = Boot.id.map(JSON.string)
        object["events"] = .array(state.events.map(\.json))
        try Files.writeWhole(Array((JSON.object(object).prettyDescription + "\n").utf8), to: self.state, mode: 0o600)
    }

    /// Removes the files and the directory, the one with the lock last: without it, the rest would be a leftover. What
    /// can't be removed stays.
    public func remove() {
        for name in (try? Files.names(in: directory)) ?? [] where name != "supervisor.pid" {
            try? Files.remove("\(directory)/\(name)")
        }
        try? Files.remove(supervisorPid)
        try? Files.removeDirectory(directory)
    }
}

/// What is written of a guest: its status, and who its process is beyond its pid.
public struct GuestState: Equatable, Sendable {
    /// The status.
    public var status: WireStatus
    /// The guest's process.
    public var child: ProcessIdentity?
    /// The inode of the registered sanlock socket, which every process of the guest has inherited.
    public var leaseSocket: UInt64?
    /// What has happened to it so far, for those who come later.
    public var events: [WireEvent]
    /// Files elsewhere that have the guest's pid or its supervisor's in them, by absolute paths.
    public var pidFiles: [String]

    /// States all of it.
    public init(
        status: WireStatus, child: ProcessIdentity?, leaseSocket: UInt64?, events: [WireEvent], pidFiles: [String] = []
    ) {
        self.events = events
        self.pidFiles = pidFiles
        self.status = status
        self.child = child
        self.leaseSocket = leaseSocket
    }
}
