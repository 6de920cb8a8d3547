/// The interface's `Holder`: who has a lease that somebody else wants, as far as it is known.
public struct WireHolder: WireValue {
    /// Whether the holder's host still renews its claim.
    public enum Liveness: String, Sendable, CaseIterable {
        /// It does.
        case live
        /// It doesn't, for so long that its leases are free for the taking.
        case dead
        /// Nobody can say yet.
        case unknown
    }

    /// The name of the guest that has it.
    public var guest: String?
    /// That guest's UUID.
    public var uuid: String?
    /// The process that has it, on its own host.
    public var pid: Int32?
    /// The number of its host in the lockspace.
    public var hostId: Int?
    /// The name of its host.
    public var hostName: String?
    /// Since when, in RFC 3339 UTC.
    public var since: String?
    /// Whether its host still renews its claim.
    public var liveness: Liveness

    /// Makes a holder of its fields.
    public init(
        guest: String? = nil, uuid: String? = nil, pid: Int32? = nil, hostId: Int? = nil, hostName: String? = nil,
        since: String? = nil, liveness: Liveness
    ) {
        self.guest = guest
        self.uuid = uuid
        self.pid = pid
        self.hostId = hostId
        self.hostName = hostName
        self.since = since
        self.liveness = liveness
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        guest = try fields.optionalString("guest")
        uuid = try fields.optionalString("uuid")
        pid = try fields.optionalInteger("pid", from: 1)
        hostId = try fields.optionalInteger("hostId")
        hostName = try fields.optionalString("hostName")
        since = try fields.optionalString("since")
        liveness = try fields.choice("liveness", Liveness.self)
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("guest", guest.map(JSON.string)), ("uuid", uuid.map(JSON.string)),
                ("pid", pid.map { .integer(Int64($0)) }), ("hostId", hostId.map { .integer(Int64($0)) }),
                ("hostName", hostName.map(JSON.string)), ("since", since.map(JSON.string)),
                ("liveness", .string(liveness.rawValue)),
            ]))
    }
}
