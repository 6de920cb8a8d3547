import Glibc
import Platform

/// What a supervisor and a keeper that were killed in one instant left behind: files, and perhaps a guest.
public struct Leftover: Sendable {
    /// The guest's files.
    public let paths: GuestPaths
    /// Its name.
    public let name: String
    /// Its process, where that still lives.
    public let guest: ProcessIdentity?

    /// Looks at a guest's directory; nil where its supervisor lives, or where one is just starting.
    public init?(_ paths: GuestPaths) {
        guard paths.livingSupervisor == nil else { return nil }
        self.paths = paths
        let state = paths.readState()
        name = state?.status.name ?? paths.fileName
        guest = state?.child.flatMap { $0.exists ? $0 : nil }
    }

    /// Kills the guest and what is below it, and removes the files. Waits up to two seconds for the end, so that the
    /// leases are about to be free on return.
    ///
    /// - Returns: whether a guest was there to be killed.
    @discardableResult
    public func end() -> Bool {
        defer { paths.remove() }
        guard let guest else { return false }
        // Looked up before the guest dies: afterwards its children are some other process's.
        let below = guest.descendants()
        var killed = guest.signal(SIGKILL)
        for process in below { killed = process.signal(SIGKILL) || killed }
        for _ in 0..<400 where ([guest] + below).contains(where: { $0.isAlive }) { usleep(5000) }
        return killed
    }

    /// All of them in a run directory. Taken under the lock that starts take, so that a start in progress is not
    /// mistaken for one.
    public static func endAll(in directory: RunDirectory) -> [Leftover] {
        guard let section = try? DirectoryLock(on: directory.guests) else { return [] }
        defer { _ = section }
        return directory.guestDirectories().compactMap { paths in
            guard let leftover = Leftover(paths) else { return nil }
            leftover.end()
            return leftover
        }
    }
}
