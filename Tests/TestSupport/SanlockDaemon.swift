import Foundation
import Synchronization

/// A private sanlock daemon, which is one host. It has no watchdog, runs as the current user, and is killed with its
/// scratch directory or the test process.
///
/// All calls block: most for a few milliseconds, `join` for three seconds at an io timeout of 1.
public final class SanlockDaemon: Sendable {
    /// Its name for itself, which other hosts read in the lockspace.
    public let hostName: String
    /// What SANLOCK_RUN_DIR is for its clients.
    public let runDirectory: String
    private let running: Mutex<RunningProgram>

    /// Starts a daemon, and waits until it answers.
    ///
    /// - Parameter runDirectory: made where it is missing; at most 94 bytes, so that its socket's path fits.
    public init(hostName: String, runDirectory: String) throws {
        guard runDirectory.utf8.count + "/sanlock.sock".utf8.count <= 107 else {
            throw TestFailure("\(runDirectory) is too long for sanlock's socket")
        }
        try FileManager.default.createDirectory(atPath: runDirectory, withIntermediateDirectories: true)
        self.hostName = hostName
        self.runDirectory = runDirectory
        running = Mutex(try Self.launch(hostName, runDirectory))
    }

    private static func launch(_ hostName: String, _ runDirectory: String) throws -> RunningProgram {
        // A killed daemon leaves its socket, which would pass for the new one's.
        unlink("\(runDirectory)/sanlock.sock")
        let (user, group) = try userAndGroup()
        // -L and -S: not into the machine's logs.
        let options = ["-D", "-w", "0", "-l", "0", "-h", "0", "-L", "-1", "-S", "-1", "-U", user, "-G", group]
        var program = Program(
            "sanlock", ["daemon"] + options + ["-e", hostName],
            environment: ["SANLOCK_RUN_DIR": runDirectory, "SANLOCK_PRIVILEGED": "0"], directory: runDirectory)
        program.output = .null
        program.errors = .file("\(runDirectory)/daemon.log")
        let started = try program.start()
        do {
            try eventually(within: 10, "the socket of sanlock daemon \(hostName)") {
                if let status = started.status { throw TestFailure("sanlock daemon \(hostName) ended: \(status)") }
                guard let descriptor = try connectUnixSocket("\(runDirectory)/sanlock.sock") else { return false }
                close(descriptor)
                return true
            }
        } catch {
            started.end()
            let log = (try? String(contentsOfFile: "\(runDirectory)/daemon.log", encoding: .utf8)) ?? ""
            throw TestFailure("\(error); its log: \(log)")
        }
        return started
    }

    private static func userAndGroup() throws -> (user: String, group: String) {
        guard let user = getpwuid(getuid()), let group = getgrgid(getgid()) else {
            throw TestFailure("user \(getuid()) or group \(getgid()) has no name, and sanlock wants names")
        }
        return (String(cString: user.pointee.pw_name), String(cString: group.pointee.gr_name))
    }

    private var program: RunningProgram { running.withLock { $0 } }

    /// The daemon's pid; another one after `restart`.
    public var pid: pid_t { program.pid }

    /// Whether it runs, or is stopped.
    public var isRunning: Bool { program.isRunning }

    /// What a client of this daemon has in its environment.
    public var environment: [String: String] { ["SANLOCK_RUN_DIR": runDirectory, "SANLOCK_PRIVILEGED": "0"] }

    /// All that the daemon (the current one, since `restart`) has logged.
    public var log: String {
        (try? String(contentsOfFile: "\(runDirectory)/daemon.log", encoding: .utf8)) ?? ""
    }

    // MARK: Life

    /// Kills it as a crash would, and reaps it.
    ///
    /// - Returns: when it was gone, in CLOCK_MONOTONIC. It has requests under way to wait for first, and its sockets stay
    ///   open until then.
    @discardableResult
    public func kill() -> UInt64 {
        let killed = program
        killed.signal(SIGKILL)
        _ = try? killed.wait(timeout: 20)
        return killed.endedNanoseconds ?? monotonicNanoseconds()
    }

    /// Kills it, where it still runs, and starts another in its place, which has joined no lockspace.
    public func restart() throws {
        kill()
        let fresh = try Self.launch(hostName, runDirectory)
        running.withLock { $0 = fresh }
    }

    /// Makes it hang.
    public func stop() { program.signal(SIGSTOP) }

    /// Lets it go on.
    public func cont() { program.signal(SIGCONT) }

    /// Ends it for good.
    public func end() { program.end() }

    // MARK: Asking

    /// Runs the `sanlock` tool against this daemon.
    public func sanlock(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try sanlock(arguments, timeout: timeout)
    }

    /// Runs the `sanlock` tool against this daemon.
    public func sanlock(_ arguments: [String], timeout: Double = 30) throws -> Outcome {
        try Program.run("sanlock", arguments, environment: environment, timeout: timeout)
    }

    /// Who holds what here.
    public func clientStatus() throws -> SanlockStatus {
        try SanlockStatus(parsing: try sanlock("client", "status").expecting(.exit(0)).output)
    }

    /// What each host of a lockspace is, by host id: `LIVE`, `FREE`, `DEAD`, `FAIL` or `UNKNOWN`.
    public func hostStates(_ lockspace: String = TwoHosts.lockspace) throws -> [Int: String] {
        let outcome = try sanlock("client", "gets", "-h", "1").expecting(.exit(0))
        var states: [Int: String] = [:]
        var isWanted = false
        for line in outcome.output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "s" {
                isWanted = line.hasPrefix("s \(lockspace):")
            } else if isWanted, words.first == "h", words.count > 2, let host = Int(words[1]) {
                states[host] = String(words[words.count - 1])
            }
        }
        return states
    }

    // MARK: Lockspaces

    /// Joins a lockspace. Takes 3 s at an io timeout of 1.
    public func join(lockspace: String = TwoHosts.lockspace, hostID: Int, path: String, ioTimeout: Int = 1) throws {
        try startJoining(lockspace: lockspace, hostID: hostID, path: path, ioTimeout: ioTimeout)
            .finish(timeout: 60).expecting(.exit(0))
    }

    func startJoining(lockspace: String, hostID: Int, path: String, ioTimeout: Int) throws -> RunningProgram {
        try Program(
            "sanlock",
            ["client", "add_lockspace", "-s", "\(lockspace):\(hostID):\(path):0", "-o", "\(ioTimeout)"],
            environment: environment
        ).start()
    }

    /// Leaves a lockspace; sanlock kills whoever still holds a lease in it.
    public func leave(lockspace: String = TwoHosts.lockspace, hostID: Int, path: String) throws {
        try sanlock("client", "rem_lockspace", "-s", "\(lockspace):\(hostID):\(path):0", timeout: 120)
            .expecting(.exit(0))
    }
}
