/// The interface's `Disk`: a disk for which a lease is asked.
public struct WireDisk: WireValue {
    /// What the guest does with a disk.
    public enum Mode: String, Sendable, CaseIterable {
        /// Writes it alone.
        case exclusive
        /// Writes it together with others that also say so.
        case shared
        /// Never writes it.
        case readonly
    }

    /// The disk's path, as the guest opens it.
    public var path: String
    /// What the guest does with it.
    public var mode: Mode

    /// Makes a disk of its fields.
    public init(path: String, mode: Mode) {
        self.path = path
        self.mode = mode
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        try self.init(fields: WireFields(json))
    }

    /// Reads a disk that a caller names, which may have no field beyond its own.
    init(strict json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        try fields.allowOnly(["path", "mode"])
        try self.init(fields: fields)
    }

    private init(fields: WireFields) throws(WireError) {
        path = try fields.string("path")
        mode = try fields.choice("mode", Mode.self)
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(JSON.Object(fields: [("path", .string(path)), ("mode", .string(mode.rawValue))]))
    }
}
