import Foundation
import TestSupport
import Testing

/// How often the long tests repeat themselves: few times by default, 200 times or more by hand.
enum Rounds {
    /// `LEASEHOLD_ROUNDS`, 3 without it.
    static let wanted = ProcessInfo.processInfo.environment["LEASEHOLD_ROUNDS"].flatMap { Int($0) } ?? 3

    /// All of these where many rounds are wanted, else about as many as `sample`, evenly spread with the last one among
    /// them.
    static func some<Element>(_ elements: [Element], sample: Int) -> [Element] {
        guard wanted < 100, elements.count > sample, sample > 0 else { return elements }
        return (1...sample).map { elements[$0 * elements.count / sample - 1] }
    }

    /// The elements in portions, so that what takes long is waited for side by side.
    static func portions<Element>(_ elements: [Element], of size: Int) -> [[Element]] {
        stride(from: 0, to: elements.count, by: size).map { Array(elements[$0..<min($0 + size, elements.count)]) }
    }
}

/// What there is to see of a file from outside.
struct FileSight: Equatable {
    let number: UInt64
    let bytes: Int
    let mode: mode_t
    let user: uid_t
    let group: gid_t

    /// Looks at it, not through a symbolic link; nil where it isn't there.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        number = UInt64(status.st_ino)
        bytes = Int(status.st_size)
        mode = status.st_mode
        user = status.st_uid
        group = status.st_gid
    }

    /// Its permission bits.
    var permissions: mode_t { mode & 0o7777 }
}

/// Lease directories, as these tests look at them.
enum LeaseDirectory {
    /// Files that were being made by processes that are gone, and never got their name.
    static func asideFiles(_ directory: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/.leasehold")) ?? []
        return names.filter { $0.hasPrefix("new.") }.sorted().filter { name in
            // new.HOST.PID.RANDOM
            let parts = name.split(separator: ".")
            return parts.count < 3 || pid_t(parts[2]).map { !processExists($0) } ?? true
        }
    }

    /// What is under the names that libvirt and sanlock look at.
    static func visibleFiles(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".") }.sorted()
    }

    /// Waits until nobody can be about to format these files: two io timeouts of a second after they changed.
    static func waitUntilOld(_ paths: [String]) throws {
        try eventually(within: 10, every: 50, "\(paths.count) files of some age") {
            try paths.allSatisfy { path in
                var status = stat()
                guard lstat(path, &status) == 0 else { throw TestFailure("\(path) is gone") }
                return Double(time(nil) - status.st_ctim.tv_sec) > 2.5
            }
        }
    }
}

extension TwoHosts {
    /// A pair whose directory is empty and whose daemons have joined nothing.
    static func withNothingSetUp(settings: [String: String] = [:]) throws -> TwoHosts {
        let hosts = try TwoHosts(settings: settings, joined: false)
        try FileManager.default.removeItem(atPath: hosts.lockspacePath)
        return hosts
    }
}

extension Guest {
    /// Waits until the others can read who holds this disk, after a lockspace was joined for it.
    func waitUntilRecorded(_ disk: String, within seconds: Double) throws {
        try eventually(within: seconds, every: 5, "the record of \(disk) by \(running): \(running.errors)") {
            guard running.isRunning else { throw TestFailure("\(running): \(running.errors)") }
            return try station.record(of: disk)?["guest"]?.string == name
        }
    }
}

/// A host on which nothing was ever done: a daemon that has joined nothing, and an empty lease directory.
final class FreshHost: Sendable {
    let scratch: Scratch
    let daemon: SanlockDaemon
    let leaseDirectory: String

    var lockspacePath: String { "\(leaseDirectory)/\(TwoHosts.lockspace)" }

    init() throws {
        let scratch = try Scratch()
        self.scratch = scratch
        do {
            leaseDirectory = try scratch.directory("leases")
            daemon = try SanlockDaemon(hostName: "fresh", runDirectory: scratch.file("s"))
        } catch {
            scratch.remove()
            throw error
        }
        let daemon = self.daemon
        scratch.atEnd { daemon.end() }
    }

    func station(settings: [String: String] = [:]) throws -> Station {
        try Station(daemon, id: 5, leaseDirectory: leaseDirectory, scratch, settings: settings)
    }

    /// Whether sanlock takes the lockspace's file, and the file of a disk, for what they should be; nil where there is none.
    func wholeness(of disk: String) throws -> (lockspace: Bool?, lease: Bool?) {
        let name = try leaseName(disk)
        func reads(_ kind: String, _ text: String, _ path: String) throws -> Bool? {
            guard FileSight(path) != nil else { return nil }
            return try daemon.sanlock("direct", "read_leader", kind, text).succeeded
        }
        return (
            try reads("-s", "\(TwoHosts.lockspace):5:\(lockspacePath):0", lockspacePath),
            try reads("-r", "\(TwoHosts.lockspace):\(name):\(leaseDirectory)/\(name):0", "\(leaseDirectory)/\(name)")
        )
    }

    func end() { scratch.remove() }
}

/// Runs `body` with several fresh hosts, so that joining is waited for side by side.
func withFreshHosts(_ count: Int, _ body: ([FreshHost]) throws -> Void) throws {
    var hosts: [FreshHost] = []
    defer { for host in hosts { host.end() } }
    for _ in 0..<count { hosts.append(try FreshHost()) }
    try body(hosts)
}

/// How a start on a damaged file went: both are fine, as long as they are clear.
enum Attempt: Equatable {
    case ran
    case refused(Int32)
}

extension Station {
    /// Starts a guest that has either to hold its lease, or to be refused with one line that names the file; and neither
    /// late. What runs is ended.
    func attempt(
        _ disk: String, codes: [Int32] = [73], naming path: String? = nil, within seconds: Double = 15,
        _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Attempt? {
        let program = try supervised(["--name", "attempt", "--disk", disk], Probe.command("sleep", "60"))
        let running = try scratch.start(program)
        let guest = Guest(running: running, name: "attempt", station: self)
        defer { running.end() }
        do {
            try eventually(within: seconds, every: 5, "an answer to \(what)") {
                guard running.isRunning else { return true }
                return try record(of: disk)?["guest"] == "attempt" && !guest.leases().isEmpty
            }
        } catch {
            Issue.record("\(what): \(error)", sourceLocation: sourceLocation)
            return nil
        }
        guard !running.isRunning else {
            try expectLeases(
                of: guest, [try ExpectedLease(disk, in: leaseDirectory)], sourceLocation: sourceLocation)
            #expect(try guest.stop().status == .signal(SIGTERM), sourceLocation: sourceLocation)
            return .ran
        }
        let outcome = try running.finish()
        guard case .exit(let code) = outcome.status, codes.contains(code) else {
            Issue.record("\(what): \(outcome)", sourceLocation: sourceLocation)
            return nil
        }
        let name = try path ?? "\(leaseDirectory)/\(leaseName(disk))"
        expectOneLine(outcome, code: code, naming: [name], sourceLocation: sourceLocation)
        #expect(unfinishedFiles(of: running.pid).isEmpty, "half made: \(what)", sourceLocation: sourceLocation)
        return .refused(code)
    }
}
