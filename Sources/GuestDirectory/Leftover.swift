import ControlProtocol
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
    /// Whether any process of it had to be killed. Known once it was ended.
    public private(set) var hadProcesses = false
    /// Whether nothing of it is left. Where something can't die, or can't be told, its files stay for the next one to look.
    public private(set) var isEnded = false
    /// The leases that it had.
    public var leases: [WireLease] { state?.status.leases ?? [] }
    private let state: GuestState?

    /// Looks at a guest's directory whose supervisor doesn't live.
    init(_ paths: GuestPaths) {
        self.paths = paths
        state = paths.readState()
        name = state?.status.name ?? paths.fileName
        guest = state?.child.flatMap { $0.isAlive ? $0 : nil }
    }

    /// Kills the guest and all that is left of it, writes the exit record, and removes the files. Waits up to two seconds
    /// for the end, so that the leases are about to be free on return.
    mutating func end(in directory: RunDirectory) {
        // What no supervisor wrote tells nothing; what can't be read at this moment may tell of a guest.
        let isUnreadable = !Files.isReadableOrMissing(paths.state)
        for attempt in 0..<Leftover.attempts {
            // Looked up before the guest dies: afterwards its children are some other process's. What it let go before
            // is known by the socket that it inherited.
            let living = processes().filter(\.isAlive)
            if living.isEmpty { break }
            // A keeper that lives is at it, and knows more of them: killed too soon, it would leave those that closed everything.
            let killed = living.filter { attempt >= Leftover.keepersAttempts || !$0.isKeeper }
            hadProcesses = hadProcesses || !killed.isEmpty
            for process in killed { process.signal(SIGKILL) }
            if attempt == Leftover.attempts - 1 { return }
            usleep(5000)
        }
        if isUnreadable { return }
        isEnded = true
        writeExit(in: directory)
        removePidFiles()
        paths.remove()
    }

    // One that has another pid in it by now is somebody else's. And what another user has written down may be a trap.
    private func removePidFiles() {
        guard let state, (try? Files.kind(of: paths.state))??.user == geteuid() else { return }
        let pids = [state.status.childPid, state.status.supervisorPid].compactMap { $0.map { Array("\($0)\n".utf8) } }
        for path in state.pidFiles where (try? Files.kind(of: path))??.user == geteuid() {
            guard let content = try? Files.read(path, limit: 32), pids.contains(content) else { continue }
            try? Files.remove(path)
        }
    }

    private static let attempts = 400
    private static let keepersAttempts = 100

    private func processes() -> [ProcessIdentity] {
        let tree = guest.map { [$0] + $0.descendants() } ?? []
        return tree + (state?.leaseSocket.map(ProcessIdentity.holding(socket:)) ?? [])
    }

    private func writeExit(in directory: RunDirectory) {
        guard let state, state.child != nil else { return }
        let now = Clock.wallTime()
        let time = rfc3339(secondsSince1970: now.seconds, nanoseconds: Int32(now.milliseconds) * 1_000_000)
        let exit = WireExit(
            name: state.status.name, uuid: state.status.uuid, signal: SIGKILL, reason: .supervisorFailed, time: time,
            leasesFree: state.status.leases.isEmpty)
        let path = "\(directory.exits)/\(paths.fileName).json"
        try? Files.writeWhole(Array((exit.json.prettyDescription + "\n").utf8), to: path)
    }

    /// Ends all of them in a run directory. Under the lock that starts take, so that a start in progress is not mistaken
    /// for one.
    public static func endAll(in directory: RunDirectory) -> [Leftover] {
        guard let section = try? SectionLock(on: directory.guests, waitingSeconds: 1) else { return [] }
        defer { _ = section }
        return directory.guestDirectories().compactMap { paths in
            if paths.hasLivingSupervisor { return nil }
            var leftover = Leftover(paths)
            leftover.end(in: directory)
            return leftover
        }
    }
}
