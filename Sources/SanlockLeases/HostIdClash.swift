import ControlProtocol
import Glibc
import Platform

/// A note in the lease directory for the host that has an id, that another one wanted it: sanlock tells it nothing.
public struct HostIdClash: Sendable {
    /// The host that wanted to join.
    public let hostName: String
    /// The one that used the id; nil where its name could not be read.
    public let usedBy: String?
    /// When, RFC 3339.
    public let time: String

    private static func path(_ settings: SanlockSettings, _ hostId: UInt64) -> String {
        "\(settings.recordDirectory)/host-id-\(hostId).json"
    }

    /// Leaves the note; what can't be written is left.
    static func write(settings: SanlockSettings, hostId: UInt64, ownName: String?, others: String?) {
        let now = Clock.wallTime()
        var object = JSON.Object()
        object["hostId"] = .integer(Int64(clamping: hostId))
        object["hostName"] = .string(ownName ?? "unknown")
        object["usedBy"] = others.map(JSON.string)
        object["time"] = .string(
            rfc3339(secondsSince1970: now.seconds, nanoseconds: Int32(now.milliseconds) * 1_000_000))
        try? Files.makeDirectory(settings.recordDirectory, mode: 0o755)
        try? Files.writeWhole(
            Array((JSON.object(object).prettyDescription + "\n").utf8), to: path(settings, hostId))
    }

    /// Takes the note back: the host that has the id joined anew, and whoever wanted it has another one or says so again.
    static func remove(settings: SanlockSettings, hostId: UInt64) {
        try? Files.remove(path(settings, hostId))
    }

    /// The note about a host id; nil where there is none.
    static func read(settings: SanlockSettings, hostId: UInt64) -> HostIdClash? {
        guard let bytes = try? Files.read(path(settings, hostId), limit: 4096),
            case .object(let object)? = try? JSON(parsing: bytes),
            case .string(let name)? = object["hostName"], case .string(let time)? = object["time"],
            name.utf8.count <= 64, time.utf8.count <= 64
        else { return nil }
        var usedBy: String?
        if case .string(let name)? = object["usedBy"], name.utf8.count <= 64 { usedBy = name.printable }
        return HostIdClash(hostName: name.printable, usedBy: usedBy, time: time.printable)
    }
}
