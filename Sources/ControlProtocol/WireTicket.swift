/// What the source of a migration hands to its target: the guest, its disks, and its leases with their versions.
///
/// The source's `PrepareMigrate` gives one whose leases are `held`; `CompleteMigrateOut` one whose leases are `released`, and with
/// that alone the target may take them. It is an object of JSON, to be passed on by any means.
public struct WireTicket: WireValue {
    /// What `kind` says in every ticket.
    public static let kind = "leasehold-ticket"
    /// What `version` says in those that this program makes and reads.
    public static let version = 1

    /// The guest's name at the source.
    public var name: String
    /// Its UUID, by which the target knows that it is the same guest.
    public var uuid: String
    /// Where it goes, as the source was told; nothing is done with it.
    public var uri: String?
    /// Whether it is to run at the target, and not to stand still as it does at the source.
    public var running: Bool
    /// The disks that it writes.
    public var disks: [WireDisk]
    /// Its leases.
    public var leases: [WireLease]

    /// Makes a ticket of its fields.
    public init(
        name: String, uuid: String, uri: String?, running: Bool, disks: [WireDisk], leases: [WireLease]
    ) {
        self.name = name
        self.uuid = uuid
        self.uri = uri
        self.running = running
        self.disks = disks
        self.leases = leases
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        guard try fields.string("kind") == WireTicket.kind else {
            throw WireError(field: "kind", expected: WireTicket.kind)
        }
        guard try fields.integer("version") == WireTicket.version else {
            throw WireError(field: "version", expected: "\(WireTicket.version)")
        }
        name = try fields.string("name")
        uuid = try fields.string("uuid")
        uri = try fields.optionalString("uri")
        running = try fields.bool("running")
        disks = try fields.values("disks", WireDisk.self)
        leases = try fields.values("leases", WireLease.self)
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("kind", .string(WireTicket.kind)), ("version", .integer(Int64(WireTicket.version))),
                ("name", .string(name)), ("uuid", .string(uuid)), ("uri", uri.map(JSON.string)),
                ("running", .bool(running)), ("disks", .array(disks)), ("leases", .array(leases)),
            ]))
    }

    /// Whether the source has given the leases back.
    public var isReleased: Bool { leases.allSatisfy { $0.state == .released } }
}
