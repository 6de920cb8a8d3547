import Foundation

/// One of two hosts: a daemon, a run directory for supervisors, and a configuration file.
public final class Host: Sendable {
    /// The host id in the lockspace.
    public let id: Int
    /// The host's name, `host1` or `host2`.
    public let name: String
    /// Its sanlock daemon.
    public let daemon: SanlockDaemon
    /// LEASEHOLD_RUN_DIR.
    public let runDirectory: String
    /// LEASEHOLD_CONFIG.
    public let configurationPath: String
    /// The io timeout of its lockspace, in seconds.
    public let ioTimeout: Int
    private let scratch: Scratch
    private let leaseDirectory: String

    init(
        id: Int, scratch: Scratch, leaseDirectory: String, diskDirectory: String, ioTimeout: Int,
        settings: [String: String]
    ) throws {
        self.id = id
        self.scratch = scratch
        self.leaseDirectory = leaseDirectory
        self.ioTimeout = ioTimeout
        name = "host\(id)"
        runDirectory = try scratch.directory("r\(id)")
        var values = [
            "disk_lease_dir": "\"\(leaseDirectory)\"", "host_id": "\(id)", "io_timeout": "\(ioTimeout)",
            "auto_disk_leases": "1",
        ]
        values.merge(settings) { $1 }
        let lines = values.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }
        configurationPath = try scratch.write(lines.joined(), to: "leasehold\(id).conf")
        let daemon = try SanlockDaemon(hostName: name, runDirectory: scratch.file("s\(id)"))
        self.daemon = daemon
        scratch.atEnd { daemon.end() }
    }

    /// What supervisor and tools need to find this host: SANLOCK_RUN_DIR, LEASEHOLD_RUN_DIR, LEASEHOLD_CONFIG.
    public var environment: [String: String] {
        [
            "SANLOCK_RUN_DIR": daemon.runDirectory, "LEASEHOLD_RUN_DIR": runDirectory,
            "LEASEHOLD_CONFIG": configurationPath,
        ]
    }

    private var lockspacePath: String { "\(leaseDirectory)/\(TwoHosts.lockspace)" }

    func startJoining() throws -> RunningProgram {
        try daemon.startJoining(
            lockspace: TwoHosts.lockspace, hostID: id, path: lockspacePath, ioTimeout: ioTimeout)
    }

    /// Joins the lockspace, as after `daemon.restart()`. Blocks for three seconds or more.
    public func join() throws { try startJoining().finish(timeout: 120).expecting(.exit(0)) }

    /// Whether it is in the lockspace, or about to be.
    func hasJoined() throws -> Bool {
        try daemon.clientStatus().lockspaces.contains { $0.name == TwoHosts.lockspace && $0.remarks != ["REM"] }
    }

    /// Leaves the lockspace.
    public func leave() throws { try daemon.leave(hostID: id, path: lockspacePath) }

    /// A program of the test's that runs on this host.
    public func program(_ path: String, _ arguments: [String] = []) -> Program {
        Program(path, arguments, environment: environment)
    }

    /// The supervisor with these options in front of a command.
    public func supervised(_ options: [String] = [], _ command: [String]) throws -> Program {
        program(try Products.supervisor(), options + ["--"] + command)
    }

    /// Runs `leasehold` on this host.
    public func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try program(try Products.cli(), arguments).run(timeout: timeout)
    }

    /// Takes a disk's lease with sanlock's own tool, as another program would: a `sleep` holds it until it ends.
    /// Returns once it is held.
    ///
    /// - Parameter lease: `TwoHosts.leaseText`; the lease file has to be formatted.
    public func hold(_ lease: String, seconds: Int = 120) throws -> RunningProgram {
        let running = try scratch.start(
            Program(
                "sanlock", ["client", "command", "-r", lease, "-c", "/bin/sleep", "\(seconds)"],
                environment: daemon.environment))
        try eventually(within: 30, every: 5, "\(name) holding \(lease)") {
            guard running.isRunning else {
                throw TestFailure("\(name) can't take \(lease): \(running.output)\(running.errors)")
            }
            return try daemon.clientStatus().resources(of: running.pid).contains { $0.remarks.isEmpty }
        }
        return running
    }
}
