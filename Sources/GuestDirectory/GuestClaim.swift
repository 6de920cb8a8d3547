import Glibc
import Platform

/// A supervisor's hold on a guest's name: its directory, and the lock that tells it lives.
public struct GuestClaim: ~Copyable {
    /// The guest's files.
    public let paths: GuestPaths
    private let lock: LifeLock
    private let section: String

    /// Why a name could not be had.
    public enum Failure: Error, Equatable, Sendable {
        /// A guest of that name has a supervisor that lives.
        case inUse(supervisorPid: Int32)
        /// The run directory can't be used.
        case unusable(SystemError)
        /// The control socket's path would be longer than a Unix address holds.
        case pathTooLong(String)
    }

    /// What a killed supervisor had left under the name, and was ended.
    public let ended: Leftover?

    /// Takes a name. What a supervisor that was killed left under it is ended and removed first.
    public init(_ name: GuestName, in directory: RunDirectory) throws(Failure) {
        let paths = directory.guest(name)
        guard paths.control.utf8.count <= UnixSocket.longestPath else { throw .pathTooLong(paths.control) }
        var ended: Leftover?
        lock = try GuestClaim.take(paths, in: directory, ending: &ended)
        section = directory.guests
        self.paths = paths
        self.ended = ended
    }

    /// Goes on with a name that this process took as another program.
    ///
    /// - Parameter lock: what was `lockNumber`.
    public init(_ name: GuestName, in directory: RunDirectory, adopting lock: consuming Descriptor) {
        self.lock = LifeLock(adopting: lock)
        section = directory.guests
        paths = directory.guest(name)
        ended = nil
    }

    /// The descriptor that the claim lives by. Borrowed.
    public var lockNumber: Int32 { lock.number }

    private static func take(
        _ paths: GuestPaths, in directory: RunDirectory, ending ended: inout Leftover?
    ) throws(Failure) -> LifeLock {
        do throws(SystemError) {
            // Not to be read by others: who can open it can lock it, and keep every start waiting.
            try Files.makeDirectories(directory.guests, mode: 0o711)
            try Files.makeDirectory(directory.exits, mode: 0o755)
            for _ in 0..<attempts {
                if let lock = try lock(paths, in: directory, ending: &ended) { return lock }
                // One that was killed holds its lock until it is dead; one that is just starting has no pid yet.
                let pid = paths.livingSupervisor ?? 0
                if pid > 0, !ProcessIdentity.isEnding(pid) { break }
                usleep(5000)
            }
        } catch {
            throw .unusable(error)
        }
        throw .inUse(supervisorPid: paths.livingSupervisor ?? 0)
    }

    private static let attempts = 400

    // Nil: another process has it.
    private static func lock(
        _ paths: GuestPaths, in directory: RunDirectory, ending ended: inout Leftover?
    ) throws(SystemError) -> LifeLock? {
        let section = try SectionLock(on: directory.guests, waitingSeconds: 10)
        defer { _ = section }
        let wasThere = try Files.kind(of: paths.directory) != nil
        try Files.makeDirectory(paths.directory, mode: 0o700)
        do throws(SystemError) {
            guard let lock = try LifeLock(on: paths.supervisorPid) else { return nil }
            if try Files.names(in: paths.directory).count == 1 { return lock }
        } catch {
            // Nothing is left of an attempt that failed, and nothing is touched of a guest that runs.
            if !wasThere { paths.remove() }
            throw error
        }
        // The lock is ours, and so is what its last holder left. The file it is on goes with that.
        var leftover = Leftover(paths)
        leftover.end(in: directory)
        if leftover.hadProcesses { ended = leftover }
        guard leftover.isEnded else {
            throw SystemError("what a killed supervisor left can't be ended", on: paths.directory, number: EBUSY)
        }
        try Files.makeDirectory(paths.directory, mode: 0o700)
        return try LifeLock(on: paths.supervisorPid)
    }

    /// Removes the guest's directory. The lock goes with the process.
    public borrowing func remove() {
        let section = try? SectionLock(on: section, waitingSeconds: 1)
        defer { _ = section }
        paths.remove()
    }

    /// Removes what a claim has left that was let go of, unless another one has been made since.
    public static func discard(_ name: GuestName, in directory: RunDirectory) {
        guard let section = try? SectionLock(on: directory.guests, waitingSeconds: 1) else { return }
        defer { _ = section }
        let paths = directory.guest(name)
        if !paths.hasLivingSupervisor { paths.remove() }
    }
}
