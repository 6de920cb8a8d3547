import ControlProtocol

extension SanlockSettings {
    /// The settings for the program that a supervisor becomes: those that its guest was started with, whatever the host's
    /// configuration says by now.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("leaseDirectory", .string(leaseDirectory)),
                ("hostId", hostId.map { .integer(Int64(bitPattern: $0)) }),
                ("ioTimeoutSeconds", .integer(Int64(ioTimeoutSeconds))), ("leaseHosts", .integer(Int64(leaseHosts))),
                ("fileUser", fileUser.map { .integer(Int64($0)) }),
                ("fileGroup", fileGroup.map { .integer(Int64($0)) }), ("hasDiskLeases", .bool(hasDiskLeases)),
            ]))
    }

    /// Reads them.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        self.init(
            leaseDirectory: try fields.string("leaseDirectory"), hostId: try fields.optionalInteger("hostId", from: 1),
            ioTimeoutSeconds: try fields.integer("ioTimeoutSeconds"),
            leaseHosts: try fields.integer("leaseHosts", from: 1), fileUser: try fields.optionalInteger("fileUser"),
            fileGroup: try fields.optionalInteger("fileGroup"))
        hasDiskLeases = try fields.bool("hasDiskLeases")
    }
}
