import Foundation
import Synchronization

/// Two hosts with one lease directory: two sanlock daemons that have joined libvirt's lockspace with host ids 1 and 2.
///
/// Starting a pair takes three to four seconds. Use `shared` where a test leaves daemons and lockspace as they are, a
/// pair of its own where it kills, stops or fails them.
public final class TwoHosts: Sendable {
    /// libvirt's lockspace for disks.
    public static let lockspace = "__LIBVIRT__DISKS__"

    /// Holds everything of the pair, and is removed with it.
    public let scratch: Scratch
    /// The directory of libvirt's layout that both hosts see.
    public let leaseDirectory: String
    /// Host 1.
    public let first: Host
    /// Host 2.
    public let second: Host

    private static let sharedPair = Result { try TwoHosts() }
    private static let mending = Mutex(())

    /// The pair of the whole test process: started at its first use, ended with the process.
    ///
    /// Both hosts have joined: one that lost its lockspace meanwhile joins again, so that one stall of the machine, or one
    /// test, doesn't make all that follow fail.
    public static var shared: TwoHosts {
        get throws {
            let pair = try sharedPair.get()
            try mending.withLock { _ in try pair.mend() }
            return pair
        }
    }

    private func mend() throws {
        for host in [first, second] where try !host.hasJoined() {
            print("TwoHosts.shared: \(host.name) has lost its lockspace, and joins again")
            try eventually(within: 60, every: 200, "\(host.name) having joined again") {
                try? host.join()
                return try host.hasJoined()
            }
        }
    }

    /// The lockspace's file.
    public var lockspacePath: String { "\(leaseDirectory)/\(Self.lockspace)" }

    /// Starts a pair. Blocks until both hosts have joined.
    ///
    /// - Parameters:
    ///   - ioTimeout: seconds; sanlock's times all follow from it.
    ///   - settings: more lines of the configuration file, or other values, as they are written there.
    ///   - joined: false leaves the lockspace formatted but not joined.
    public init(ioTimeout: Int = 1, settings: [String: String] = [:], joined: Bool = true) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        do {
            let leaseDirectory = try scratch.directory("leases")
            self.leaseDirectory = leaseDirectory
            let disks = try scratch.directory("disks")
            let hosts = try (1...2).map {
                try Host(
                    id: $0, scratch: scratch, leaseDirectory: leaseDirectory, diskDirectory: disks,
                    ioTimeout: ioTimeout, settings: settings)
            }
            first = hosts[0]
            second = hosts[1]
            let lockspacePath = try scratch.disk("leases/\(Self.lockspace)")
            // The io timeout is written into the file: the first join would wait 20 s by the default one.
            let lockspaceText = "\(Self.lockspace):0:\(lockspacePath):0"
            try first.daemon.sanlock("direct", "init", "-s", lockspaceText, "-o", "\(ioTimeout)").expecting(.exit(0))
            if joined {
                for joining in try hosts.map({ try $0.startJoining() }) {
                    try joining.finish(timeout: 60).expecting(.exit(0))
                }
            }
        } catch {
            scratch.remove()
            throw error
        }
    }

    /// Waits until each host takes both for living, some seconds after joining. Before, sanlock may take a dead owner
    /// for a living one (-243).
    public func waitUntilSeen(timeout: Double = 20) throws {
        try eventually(within: timeout, every: 50, "each host seeing both") {
            try [first, second].allSatisfy { host in
                let states = try host.daemon.hostStates()
                return states[1] == "LIVE" && states[2] == "LIVE"
            }
        }
    }

    /// Ends both hosts and all that mentions their directory.
    public func end() { scratch.remove() }

    /// Makes a disk, and returns its path. Its lease is not made.
    public func disk(_ name: String = "disk-\(UUID().uuidString.prefix(8))", mebibytes: Int = 1) throws -> String {
        try scratch.disk("disks/\(name)", mebibytes: mebibytes)
    }

    /// The lease file of a disk.
    public func leasePath(_ disk: String) throws -> String { "\(leaseDirectory)/\(try leaseName(disk))" }

    /// A disk's lease in sanlock's spelling.
    public func leaseText(_ disk: String, shared: Bool = false) throws -> String {
        let name = try leaseName(disk)
        return "\(Self.lockspace):\(name):\(leaseDirectory)/\(name):0\(shared ? ":SH" : "")"
    }

    /// Makes a disk's lease file as libvirt does, for 2000 hosts.
    public func formatLease(_ disk: String) throws {
        let path = try scratch.disk("leases/\(try leaseName(disk))")
        try first.daemon.sanlock("direct", "init", "-r", "\(try leaseText(disk))").expecting(.exit(0))
        guard access(path, R_OK) == 0 else { throw TestFailure("\(path) was not made") }
    }

    /// Which host and pid hold a disk's lease, by asking both daemons.
    public func holders(of disk: String) throws -> [(host: Host, resource: SanlockStatus.Resource)] {
        let name = try leaseName(disk)
        return try [first, second].filter(\.daemon.isRunning).flatMap { host in
            try host.daemon.clientStatus().resources.filter { $0.name == name }.map { (host, $0) }
        }
    }
}

/// Runs `body` with a pair of its own, which is ended afterwards.
public func withTwoHosts<Result>(
    ioTimeout: Int = 1, settings: [String: String] = [:], _ body: (TwoHosts) throws -> Result
) throws -> Result {
    let hosts = try TwoHosts(ioTimeout: ioTimeout, settings: settings)
    defer { hosts.end() }
    return try body(hosts)
}
