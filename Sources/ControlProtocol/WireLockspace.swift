/// The interface's `Lockspace`: a lockspace that the guest's leases are in, and how fresh this host's claim on it is.
public struct WireLockspace: WireValue {
    /// sanlock's name of it.
    public var name: String
    /// This host's number in it.
    public var hostId: Int
    /// This host's name in it.
    public var hostName: String?
    /// How long ago the host's claim was last renewed, in seconds.
    public var lastRenewalSeconds: Double?
    /// In how many seconds the supervisor stops the guest, if no renewal succeeds until then.
    public var actsInSeconds: Double?
    /// In how many seconds another host may take the leases, if no renewal succeeds until then.
    public var othersMayTakeInSeconds: Double?

    /// Makes a lockspace of its fields.
    public init(
        name: String, hostId: Int, hostName: String? = nil, lastRenewalSeconds: Double? = nil,
        actsInSeconds: Double? = nil, othersMayTakeInSeconds: Double? = nil
    ) {
        self.name = name
        self.hostId = hostId
        self.hostName = hostName
        self.lastRenewalSeconds = lastRenewalSeconds
        self.actsInSeconds = actsInSeconds
        self.othersMayTakeInSeconds = othersMayTakeInSeconds
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        name = try fields.string("name")
        hostId = try fields.integer("hostId")
        hostName = try fields.optionalString("hostName")
        lastRenewalSeconds = try fields.optionalNumber("lastRenewalSeconds")
        actsInSeconds = try fields.optionalNumber("actsInSeconds")
        othersMayTakeInSeconds = try fields.optionalNumber("othersMayTakeInSeconds")
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("name", .string(name)), ("hostId", .integer(Int64(hostId))), ("hostName", hostName.map(JSON.string)),
                ("lastRenewalSeconds", lastRenewalSeconds.map(JSON.number)),
                ("actsInSeconds", actsInSeconds.map(JSON.number)),
                ("othersMayTakeInSeconds", othersMayTakeInSeconds.map(JSON.number)),
            ]))
    }
}
