import Foundation
import TestSupport
import Testing

/// What a clean-up reported.
struct CleanupCounts: Equatable, CustomStringConvertible {
    var removed = 0
    var inUse = 0
    var damaged = 0
    var skipped = 0
    var failed = 0

    init(removed: Int = 0, inUse: Int = 0, damaged: Int = 0, skipped: Int = 0, failed: Int = 0) {
        self.removed = removed
        self.inUse = inUse
        self.damaged = damaged
        self.skipped = skipped
        self.failed = failed
    }

    /// Reads what `lease cleanup --json` printed.
    init(_ outcome: Outcome) throws {
        let report = try outcome.json()
        func number(_ key: String) throws -> Int {
            guard let number = report[key]?.integer else { throw TestFailure("no \(key) in \(outcome)") }
            return number
        }
        removed = try number("removed")
        inUse = try number("inUse")
        damaged = try number("damaged")
        skipped = try number("skipped")
        failed = try number("failed")
    }

    var description: String {
        "\(removed) removed, \(inUse) in use, \(damaged) damaged, \(skipped) skipped, \(failed) failed"
    }
}

/// All that a clean-up could change of a file.
struct FileState: Equatable {
    let sight: FileSight
    let changedSeconds: [Int]
    let content: Data?

    init?(_ path: String) {
        guard let sight = FileSight(path) else { return nil }
        self.sight = sight
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        changedSeconds = [
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ]
        content = status.st_mode & S_IFMT == S_IFREG ? FileManager.default.contents(atPath: path) : nil
    }

    /// Everything in a directory, by name.
    static func all(in directory: String) throws -> [String: FileState] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: directory)
        return Dictionary(
            uniqueKeysWithValues: names.compactMap { name in FileState("\(directory)/\(name)").map { (name, $0) } })
    }
}

/// Two hosts with stations, for clean-ups.
struct CleanupStage: Sendable {
    let hosts: TwoHosts
    let first: Station
    let second: Station

    init(_ hosts: TwoHosts) throws {
        self.hosts = hosts
        first = try Station(on: hosts.first, of: hosts, hosts.scratch)
        second = try Station(on: hosts.second, of: hosts, hosts.scratch)
    }

    private static let sharedPair = Result { try TwoHosts() }

    /// Runs `body` on a pair that the tests of a suite have one after the other; it has to leave the lease directory empty.
    static func shared(_ body: (CleanupStage) throws -> Void) throws {
        let stage = try CleanupStage(sharedPair.get())
        try body(stage)
        #expect(try stage.leases() == [], "left for the next test")
    }

    /// Makes disks whose leases were used and are free.
    func freeDisks(_ count: Int, uses: Int = 1) throws -> [String] {
        let disks = try (0..<count).map { _ in try hosts.disk() }
        for _ in 0..<uses {
            let user = try first.supervised(
                ["--name", "user"] + disks.flatMap { ["--disk", $0] }, Probe.command("exit", "0"))
            _ = try despiteSlowStorage { try user.run().expecting(.exit(0)) }
        }
        return disks
    }

    /// A clean-up that succeeds.
    @discardableResult
    func cleanUp(_ station: Station? = nil) throws -> CleanupCounts {
        try CleanupCounts((station ?? first).leasehold("lease", "cleanup", "--json").expecting(.exit(0)))
    }

    /// A clean-up under strace with these options.
    func traced(_ options: [String], on station: Station? = nil) throws -> Program {
        Program(
            "strace", ["-f", "-qq"] + options + [try Products.cli(), "lease", "cleanup", "--json"],
            environment: (station ?? first).environment)
    }

    /// Names in the lease directory that are leases.
    func leases() throws -> [String] {
        try LeaseDirectory.visibleFiles(hosts.leaseDirectory).filter { $0 != TwoHosts.lockspace }
    }
}
