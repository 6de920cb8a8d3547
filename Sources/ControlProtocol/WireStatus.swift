/// The interface's `Status`: all that a supervisor says about its guest. Also the content of `state.json`.
public struct WireStatus: WireValue {
    /// Where a guest is in its life.
    public enum State: String, Sendable, CaseIterable {
        /// Its leases are being taken; it doesn't run.
        case acquiring
        /// Its leases are held, its process is being made.
        case starting
        /// It runs.
        case running
        /// It is stopped and can go on.
        case paused
        /// It is loaded and waits for a migration to arrive.
        case incoming
        /// It is being handed to another host.
        case migrating
        /// It is being ended.
        case stopping
        /// It has ended.
        case exited
    }

    /// The guest's name.
    public var name: String
    /// The guest's UUID.
    public var uuid: String
    /// The number a management tool gave it.
    public var id: Int?
    /// The supervisor's process.
    public var supervisorPid: Int32
    /// The guest's process, nil where there is none.
    public var childPid: Int32?
    /// Where it is in its life.
    public var state: State
    /// Since when it is there, in RFC 3339 UTC.
    public var since: String
    /// The guest's command and arguments.
    public var command: [String]
    /// `sanlock` or `nop`.
    public var driver: String
    /// `poweroff` or `pause`.
    public var onLeaseLoss: String
    /// Whether a watchdog stands behind sanlock.
    public var watchdog: Bool
    /// The guest's leases.
    public var leases: [WireLease]
    /// The lockspaces that the leases are in.
    public var lockspaces: [WireLockspace]

    /// Makes a status of its fields.
    public init(
        name: String, uuid: String, id: Int? = nil, supervisorPid: Int32, childPid: Int32? = nil, state: State,
        since: String, command: [String], driver: String, onLeaseLoss: String, watchdog: Bool,
        leases: [WireLease] = [], lockspaces: [WireLockspace] = []
    ) {
        self.name = name
        self.uuid = uuid
        self.id = id
        self.supervisorPid = supervisorPid
        self.childPid = childPid
        self.state = state
        self.since = since
        self.command = command
        self.driver = driver
        self.onLeaseLoss = onLeaseLoss
        self.watchdog = watchdog
        self.leases = leases
        self.lockspaces = lockspaces
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        name = try fields.string("name")
        uuid = try fields.string("uuid")
        id = try fields.optionalInteger("id")
        supervisorPid = try fields.integer("supervisorPid", from: 1)
        childPid = try fields.optionalInteger("childPid", from: 1)
        state = try fields.choice("state", State.self)
        since = try fields.string("since")
        command = try fields.strings("command")
        driver = try fields.string("driver")
        onLeaseLoss = try fields.string("onLeaseLoss")
        watchdog = try fields.bool("watchdog")
        leases = try fields.values("leases", WireLease.self)
        lockspaces = try fields.values("lockspaces", WireLockspace.self)
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("name", .string(name)), ("uuid", .string(uuid)), ("id", id.map { .integer(Int64($0)) }),
                ("supervisorPid", .integer(Int64(supervisorPid))), ("childPid", childPid.map { .integer(Int64($0)) }),
                ("state", .string(state.rawValue)), ("since", .string(since)), ("command", .array(command)),
                ("driver", .string(driver)), ("onLeaseLoss", .string(onLeaseLoss)), ("watchdog", .bool(watchdog)),
                ("leases", .array(leases)), ("lockspaces", .array(lockspaces)),
            ]))
    }
}
