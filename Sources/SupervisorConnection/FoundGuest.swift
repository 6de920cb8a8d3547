import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A guest whose supervisor lives.
public struct FoundGuest: Sendable {
    /// Its files.
    public let paths: GuestPaths
    /// Its supervisor.
    public let supervisorPid: Int32

    /// The guest of these files; nil where no supervisor of it lives.
    public init?(_ paths: GuestPaths) {
        guard let pid = paths.livingSupervisor else { return nil }
        self.paths = paths
        supervisorPid = pid
    }

    /// Finds a running guest by name or UUID. Blocks for no more than a look at files.
    ///
    /// - Throws: ``ConnectionError/noSuchGuest(_:directory:)``.
    public static func named(_ name: String, in directory: RunDirectory) throws(ConnectionError) -> FoundGuest {
        if let guestName = GuestName(fromEmulator: name), let guest = FoundGuest(directory.guest(guestName)) {
            return guest
        }
        for paths in directory.guestDirectories() {
            guard let guest = FoundGuest(paths), let state = paths.readState() else { continue }
            if state.status.uuid.lowercased() == name.lowercased() || state.status.name == name { return guest }
        }
        throw .noSuchGuest(name, directory: directory.guests)
    }

    /// Whether its supervisor still lives.
    public var isThere: Bool { paths.livingSupervisor == supervisorPid }

    /// Does something on a connection that it makes, and does it again where that closes without an answer and the supervisor
    /// lives: one that becomes another version of itself closes its connections, and has begun nothing that was asked on them.
    public func overUpgrades<Answer>(
        _ body: () throws(ConnectionError) -> Answer
    ) throws(ConnectionError) -> Answer {
        for _ in 0..<FoundGuest.attempts {
            do throws(ConnectionError) { return try body() } catch {
                guard error.isGone, isThere else { throw error }
                usleep(5000)
            }
        }
        return try body()
    }

    private static let attempts = 20

    /// Asks its supervisor, on a connection of its own. Blocks until the answer is there or the time is over.
    ///
    /// - Parameters:
    ///   - timeoutSeconds: how long to wait at most; nil: as long as it takes.
    ///   - read: takes from the answer what is wanted.
    public func ask<Answer>(
        _ call: Call, timeoutSeconds: Double?, _ read: (ReplyMessage) throws(WireError) -> Answer
    ) throws(ConnectionError) -> Answer {
        let reply = try overUpgrades { () throws(ConnectionError) in
            try GuestConnection(self, timeoutSeconds: timeoutSeconds).call(call)
        }
        do throws(WireError) { return try read(reply) } catch { throw .unexpected(paths.fileName, error) }
    }
}
