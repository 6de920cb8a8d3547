/// The interface's `Lease`: a lease of the guest, and what has become of it.
public struct WireLease: WireValue {
    /// Who else may have the lease.
    public enum Mode: String, Sendable, CaseIterable {
        /// Nobody.
        case exclusive
        /// Others that also take it shared.
        case shared
    }

    /// What has become of the lease.
    public enum State: String, Sendable, CaseIterable {
        /// The guest has it.
        case held
        /// It was given back, as by `Suspend` with `release`.
        case released
        /// It was taken from the guest.
        case lost
    }

    /// The disk it stands for, nil for one that was asked for by its own name.
    public var disk: String?
    /// Who else may have it.
    public var mode: Mode
    /// sanlock's lockspace.
    public var lockspace: String
    /// sanlock's resource, in that lockspace.
    public var resource: String
    /// The lease file or device.
    public var path: String
    /// Where in it the lease is, in bytes.
    public var offset: Int
    /// sanlock's lver; nil for a shared lease, which has none.
    public var version: Int?
    /// What has become of it.
    public var state: State

    /// Makes a lease of its fields.
    public init(
        disk: String? = nil, mode: Mode, lockspace: String, resource: String, path: String, offset: Int,
        version: Int? = nil, state: State
    ) {
        self.disk = disk
        self.mode = mode
        self.lockspace = lockspace
        self.resource = resource
        self.path = path
        self.offset = offset
        self.version = version
        self.state = state
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        disk = try fields.optionalString("disk")
        mode = try fields.choice("mode", Mode.self)
        lockspace = try fields.string("lockspace")
        resource = try fields.string("resource")
        path = try fields.string("path")
        offset = try fields.integer("offset")
        version = try fields.optionalInteger("version")
        state = try fields.choice("state", State.self)
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("disk", disk.map(JSON.string)), ("mode", .string(mode.rawValue)), ("lockspace", .string(lockspace)),
                ("resource", .string(resource)), ("path", .string(path)), ("offset", .integer(Int64(offset))),
                ("version", version.map { .integer(Int64($0)) }), ("state", .string(state.rawValue)),
            ]))
    }
}
