import Foundation

/// A host as a management application that links the library sees it: its own configuration and run directory on one of two
/// hosts. The library goes by the configuration; of environment, only `SANLOCK_RUN_DIR` counts, for the whole test process.
public struct ManagedHost: Sendable {
    /// What is ended and removed with it.
    public let scratch: Scratch
    /// The pair that it is one of.
    public let hosts: TwoHosts
    /// The host.
    public let host: Host
    /// The configuration file.
    public let configuration: String
    /// The run directory, which the configuration names.
    public let runDirectory: String

    /// The test process itself asks the first host's daemon: libsanlock reads this once.
    private static let daemon = Result {
        guard getenv("LEASEHOLD_RUN_DIR") == nil, getenv("LEASEHOLD_CONFIG") == nil else {
            throw TestFailure("LEASEHOLD_RUN_DIR or LEASEHOLD_CONFIG is set; scripts/test takes them out")
        }
        setenv("SANLOCK_RUN_DIR", try TwoHosts.shared.first.daemon.runDirectory, 1)
    }

    /// A place on the first or second of the shared pair.
    public init(_ scratch: Scratch, second: Bool = false, settings: [String: String] = [:]) throws {
        try Self.daemon.get()
        hosts = try TwoHosts.shared
        host = second ? hosts.second : hosts.first
        self.scratch = scratch
        let mark = UUID().uuidString.prefix(4)
        runDirectory = try scratch.directory("r\(host.id)-\(mark)")
        var values = [
            "disk_lease_dir": "\"\(hosts.leaseDirectory)\"", "host_id": "\(host.id)", "io_timeout": "1",
            "run_dir": "\"\(runDirectory)\"",
        ]
        values.merge(settings) { $1 }
        let lines = values.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }
        configuration = try scratch.write(lines.joined(), to: "\(host.id)-\(mark).conf")
    }

    /// The environment of supervisors and commands here.
    public var environment: [String: String] {
        ["SANLOCK_RUN_DIR": host.daemon.runDirectory, "LEASEHOLD_CONFIG": configuration]
    }

    /// Starts what the library says, as an application does.
    public func start(_ command: [String]) throws -> RunningProgram {
        try scratch.start(Program(command: command, environment: environment, directory: scratch.path))
    }

    /// Runs `leasehold` here.
    public func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try Program(try Products.cli(), arguments, environment: environment).run(timeout: timeout)
    }

    /// The leases that a process holds here, by the daemon's word.
    public func leases(of pid: pid_t) throws -> [SanlockStatus.Resource] {
        try host.daemon.clientStatus().resources(of: pid)
    }
}
