/// The interface's `Exit`: how a guest ended. Also the content of `exits/NAME.json`.
public struct WireExit: WireValue {
    /// Why a guest ended.
    public enum Reason: String, Sendable, CaseIterable {
        /// By itself.
        case exited
        /// It was asked to.
        case stopped
        /// It was killed on request.
        case killed
        /// The supervisor ended it because a lease was lost.
        case leaseLost
        /// The supervisor ended it because the keeper had died.
        case keeperDied
        /// The supervisor itself failed or was killed.
        case supervisorFailed
    }

    /// The guest's name.
    public var name: String
    /// The guest's UUID.
    public var uuid: String
    /// Its exit status, nil where a signal ended it or nobody knows.
    public var code: Int32?
    /// The signal that ended it.
    public var signal: Int32?
    /// Why it ended.
    public var reason: Reason
    /// When, in RFC 3339 UTC.
    public var time: String
    /// Whether its leases are known to be free.
    public var leasesFree: Bool

    /// Makes an exit of its fields.
    public init(
        name: String, uuid: String, code: Int32? = nil, signal: Int32? = nil, reason: Reason, time: String,
        leasesFree: Bool
    ) {
        self.name = name
        self.uuid = uuid
        self.code = code
        self.signal = signal
        self.reason = reason
        self.time = time
        self.leasesFree = leasesFree
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        name = try fields.string("name")
        uuid = try fields.string("uuid")
        code = try fields.optionalInteger("code")
        signal = try fields.optionalInteger("signal", from: 1)
        reason = try fields.choice("reason", Reason.self)
        time = try fields.string("time")
        leasesFree = try fields.bool("leasesFree")
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("name", .string(name)), ("uuid", .string(uuid)), ("code", code.map { .integer(Int64($0)) }),
                ("signal", signal.map { .integer(Int64($0)) }), ("reason", .string(reason.rawValue)),
                ("time", .string(time)),
                ("leasesFree", .bool(leasesFree)),
            ]))
    }
}
