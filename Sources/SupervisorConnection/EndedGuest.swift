import ControlProtocol
import Glibc
import GuestDirectory
import Platform

/// A guest whose supervisor was there and is not any more.
public struct EndedGuest: Sendable {
    /// How it ended; nil where it ended without having run.
    public let exit: WireExit?

    /// Waits until the supervisor has let go, two seconds at most, and ends what it may have left behind.
    public init(_ found: FoundGuest, uuid: String?, in directory: RunDirectory) {
        for _ in 0..<400 where found.isThere { usleep(5000) }
        _ = Leftover.endAll(in: directory)
        let exit = EndedGuest.record("\(directory.exits)/\(found.paths.fileName).json")
        self.exit = uuid == nil || exit?.uuid == uuid ? exit : nil
    }

    /// What an exit record says; nil where there is none that can be read.
    public static func record(_ path: String) -> WireExit? {
        guard let bytes = try? Files.read(path, limit: 65536), let json = try? JSON(parsing: bytes) else { return nil }
        return try? WireExit(json: json)
    }

    /// What the exit record of a guest of that name or UUID says; nil where there is none that can be read.
    public static func record(named name: String, in directory: RunDirectory) -> WireExit? {
        let named = GuestName(fromEmulator: name).map(directory.exitRecord).flatMap(record)
        return named
            ?? ((try? Files.names(in: directory.exits)) ?? []).lazy.compactMap { record("\(directory.exits)/\($0)") }
            .first { $0.uuid.lowercased() == name.lowercased() }
    }
}

extension FoundGuest {
    /// Kills a supervisor that does not answer: its keeper kills the guest then, and what is left after that is a leftover.
    /// Waits for both, two seconds at most.
    public func killSupervisor() {
        guard let supervisor = ProcessIdentity(runningAs: supervisorPid), isThere else { return }
        let child = paths.readState()?.child
        supervisor.signal(SIGKILL)
        for _ in 0..<400 where supervisor.isAlive || child?.isAlive == true { usleep(5000) }
    }
}
