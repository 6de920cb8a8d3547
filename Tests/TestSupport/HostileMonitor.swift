import Foundation

/// A guest that writes to its disk all the time and serves a QMP monitor that misbehaves (`ProbeGuest monitor`). The disk
/// tells when it wrote.
public struct HostileMonitor: Sendable {
    /// What the monitor does. Up to what is said here it is an honest one.
    public enum Behaviour: Hashable, Sendable, CustomStringConvertible {
        /// All as QEMU would.
        case honest
        /// Answers everything, each after this time.
        case slow(milliseconds: Int)
        /// Sends events without end between its answers.
        case floods
        /// Confirms `stop`, reads nothing from then on, and says without end that the guest goes on and stops.
        case drowns
        /// Opens no socket.
        case absent
        /// Closes each connection at once.
        case closesAtOnce
        /// Closes the connection after each answer.
        case closesEach
        /// Takes connections and says nothing.
        case neverGreets
        /// Greets and says nothing more.
        case silent
        /// Confirms the capabilities and says nothing more.
        case deaf
        /// Refuses every command.
        case refuses
        /// Answers with the ids of other commands.
        case wrongIDs
        /// Answers with what isn't JSON.
        case garbage
        /// Sends a line without an end.
        case stuffs
        /// Says that the guest stands; it writes on, once in so many milliseconds.
        case lies(periodMilliseconds: Int)
        /// Confirms `stop`, doesn't stop, and says that the guest runs.
        case ignoresStop
        /// Sends the event of a `stop`, then no answer to anything, and writes on.
        case hangs
        /// Stops, and goes on by itself after this time, with the event that tells of it.
        case goesOn(milliseconds: Int)
        /// The same without the event.
        case goesOnSilently(milliseconds: Int)
        /// Is asleep when it was stopped, and wakes after this time.
        case sleeps(milliseconds: Int)
        /// Refuses to go on.
        case refusesCont

        /// As the probe wants it.
        public var description: String {
            switch self {
            case .honest: "honest"
            case .slow(let milliseconds): "slow=\(milliseconds)"
            case .floods: "floods"
            case .drowns: "drowns"
            case .absent: "absent"
            case .closesAtOnce: "closes-at-once"
            case .closesEach: "closes-each"
            case .neverGreets: "never-greets"
            case .silent: "silent"
            case .deaf: "deaf"
            case .refuses: "refuses"
            case .wrongIDs: "wrong-ids"
            case .garbage: "garbage"
            case .stuffs: "stuffs"
            case .lies(let milliseconds): "lies=\(milliseconds)"
            case .ignoresStop: "ignores-stop"
            case .hangs: "hangs"
            case .goesOn(let milliseconds): "goes-on=\(milliseconds)"
            case .goesOnSilently(let milliseconds): "goes-on-silently=\(milliseconds)"
            case .sleeps(let milliseconds): "sleeps=\(milliseconds)"
            case .refusesCont: "refuses-cont"
            }
        }
    }

    /// What it does.
    public let behaviour: Behaviour
    /// Where the guest serves its monitor.
    public let socket: String
    /// What the guest writes to; emptied when it starts.
    public let disk: String

    /// Describes one.
    public init(_ behaviour: Behaviour, socket: String, disk: String) {
        self.behaviour = behaviour
        self.socket = socket
        self.disk = disk
    }

    /// The guest's command line.
    ///
    /// - Parameter lifetime: seconds after which it ends whatever happens.
    public func command(lifetime: Double = 60) throws -> [String] {
        try Probe.command("monitor", behaviour.description, socket, disk, "\(lifetime)")
    }

    /// When the guest wrote, in CLOCK_MONOTONIC, in order.
    ///
    /// - Throws: `TestFailure` where a write is missing or was made twice.
    public func writes() throws -> [UInt64] {
        let data = FileManager.default.contents(atPath: disk) ?? Data()
        return try data.withUnsafeBytes { bytes in
            try (0..<bytes.count / 16).map { index in
                guard bytes.loadUnaligned(fromByteOffset: index * 16, as: UInt64.self) == UInt64(index + 1) else {
                    throw TestFailure("\(disk): write \(index + 1) of \(bytes.count / 16) is another")
                }
                return bytes.loadUnaligned(fromByteOffset: index * 16 + 8, as: UInt64.self)
            }
        }
    }

    /// The commands that the monitor has taken in, in order.
    ///
    /// - Parameter output: what the guest wrote to standard output.
    public static func commands(in output: String) -> [String] {
        output.split(separator: "\n").filter { $0.hasPrefix("command ") }.map { String($0.dropFirst(8)) }
    }
}
