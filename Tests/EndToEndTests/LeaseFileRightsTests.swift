import Foundation
import TestSupport
import Testing

/// A host whose sanlock daemon runs as Debian's user for it, as in production, with the supervisor as root.
final class SanlockUsersHost: Sendable {
    static let user = "sanlock"

    let scratch: Scratch
    let leaseDirectory: String
    let runDirectory: String
    let configuration: String
    let daemon: RunningProgram
    let userID: uid_t
    let groupID: gid_t
    private let daemonDirectory: String

    /// - Parameters:
    ///   - owner: the lease directory's: user, group.
    ///   - mode: the lease directory's.
    init(owner: String, mode: mode_t, settings: [String: String] = [:]) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        do {
            guard let entry = getpwnam(Self.user) else { throw TestFailure("there is no user \(Self.user)") }
            (userID, groupID) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
            // The daemon has to get through.
            guard chmod(scratch.path, 0o711) == 0 else { throw TestFailure("can't open \(scratch.path)") }
            let leaseDirectory = try scratch.directory("leases")
            self.leaseDirectory = leaseDirectory
            try Program.run("chown", [owner, leaseDirectory]).expecting(.exit(0))
            guard chmod(leaseDirectory, mode) == 0 else { throw TestFailure("can't change \(leaseDirectory)") }
            runDirectory = try scratch.directory("r")
            var values = ["disk_lease_dir": "\"\(leaseDirectory)\"", "host_id": "3", "io_timeout": "1"]
            values.merge(settings) { $1 }
            configuration = try scratch.write(values.map { "\($0) = \($1)\n" }.joined(), to: "leasehold.conf")
            let directory = try scratch.directory("s")
            daemonDirectory = directory
            try Program.run("chown", ["\(Self.user):\(Self.user)", directory]).expecting(.exit(0))
            // Not with the daemon's own change of user, for which it wants a limit raised that a container may not.
            var program = Program(
                "setpriv",
                ["--reuid=\(Self.user)", "--regid=\(Self.user)", "--clear-groups", "sanlock", "daemon"]
                    + ["-D", "-w", "0", "-l", "0", "-h", "0", "-L", "-1", "-S", "-1", "-e", "other"]
                    + ["-U", Self.user, "-G", Self.user],
                environment: ["SANLOCK_RUN_DIR": directory, "SANLOCK_PRIVILEGED": "0"])
            program.output = .null
            program.errors = .null
            let daemon = try scratch.start(program)
            self.daemon = daemon
            try eventually(within: 10, "the daemon's socket") {
                guard daemon.isRunning else { throw TestFailure("\(daemon)") }
                guard FileSight("\(directory)/sanlock.sock")?.user == entry.pointee.pw_uid else { return false }
                // It listens when it has set the socket's mode, which is changed here.
                return try Program.run("sanlock", ["client", "status"], environment: ["SANLOCK_RUN_DIR": directory])
                    .succeeded
            }
            // Root's powers open it; the tests that take some of them are about the storage's files.
            guard chmod("\(directory)/sanlock.sock", 0o666) == 0 else { throw TestFailure("can't open the socket") }
        } catch {
            scratch.remove()
            throw error
        }
    }

    var environment: [String: String] {
        [
            "SANLOCK_RUN_DIR": daemonDirectory, "LEASEHOLD_RUN_DIR": runDirectory, "LEASEHOLD_CONFIG": configuration,
        ]
    }

    func path(_ disk: String) throws -> String { "\(leaseDirectory)/\(try leaseName(disk))" }

    /// A start, as root or with a prefix that takes something from root.
    func start(_ disk: String, prefix: [String] = []) throws -> RunningProgram {
        let command = ["--name", "guest", "--disk", disk, "--"] + (try Probe.command("sleep", "60"))
        let program = Program(try Products.supervisor(), command, environment: environment)
        return try scratch.start(prefix.isEmpty ? program : program.prefixed(by: prefix))
    }

    /// Checks that a start succeeds, and ends it.
    func expectStart(_ disk: String, prefix: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let running = try start(disk, prefix: prefix)
        try eventually(within: 20, every: 10, "a guest: \(running.errors)") {
            guard running.isRunning else { throw TestFailure("\(try running.finish())") }
            return FileSight("\(leaseDirectory)/.leasehold/\(try leaseName(disk)).json") != nil
                || !running.descendants.isEmpty && !running.errors.isEmpty
        }
        let held = try Program.run("sanlock", ["client", "status"], environment: environment).output
        #expect(
            held.contains(":\(try path(disk)):0:") && held.contains("p \(running.pid)"), sourceLocation: sourceLocation)
        running.signal(SIGTERM)
        #expect(try running.wait() == .signal(SIGTERM), sourceLocation: sourceLocation)
    }

    /// Checks that a start is refused with one line that names this, and that it leaves nothing.
    func expectRefusal(
        _ disk: String, codes: [Int32], naming path: String, prefix: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let outcome = try start(disk, prefix: prefix).finish(timeout: 15)
        guard case .exit(let code) = outcome.status, codes.contains(code) else {
            Issue.record("\(outcome)", sourceLocation: sourceLocation)
            return
        }
        expectOneLine(outcome, code: code, naming: [path], sourceLocation: sourceLocation)
        #expect(LeaseDirectory.asideFiles(leaseDirectory) == [], sourceLocation: sourceLocation)
        #expect(daemon.isRunning, sourceLocation: sourceLocation)
    }

    func end() { scratch.remove() }
}

/// Lease files and their rights, where the daemon is not root.
@Suite struct LeaseFileRightsTests {
    private func withHost(
        owner: String = "root:root", mode: mode_t = 0o755, settings: [String: String] = [:],
        _ body: (SanlockUsersHost) throws -> Void
    ) throws {
        let host = try SanlockUsersHost(owner: owner, mode: mode, settings: settings)
        defer { host.end() }
        try body(host)
    }

    @Test(arguments: [[:], ["user": "\"sanlock\"", "group": "\"sanlock\""]])
    func newFilesAreTheDaemons(settings: [String: String]) throws {
        try withHost(settings: settings) { host in
            // A caller's umask is the guest's business.
            try host.expectStart("/one", prefix: ["/bin/sh", "-c", "umask 077; exec \"$@\"", "-"])
            try host.expectStart("/two", prefix: ["/bin/sh", "-c", "umask 000; exec \"$@\"", "-"])
            for path in ["\(host.leaseDirectory)/\(TwoHosts.lockspace)", try host.path("/one"), try host.path("/two")] {
                let sight = try #require(FileSight(path))
                #expect(sight.user == host.userID && sight.group == host.groupID && sight.permissions == 0o660)
            }
            let records = try #require(FileSight("\(host.leaseDirectory)/.leasehold"))
            #expect(records.permissions == 0o755)
        }
    }

    @Test func withoutTheRightToGiveFilesAwayTheirGroupIsEnough() throws {
        // Root without its powers over files is what the owner of a directory on squashing storage is.
        let squashed = [
            "setpriv", "--bounding-set=-chown,-dac_override,-dac_read_search,-fowner",
            "--inh-caps=-chown,-dac_override,-dac_read_search,-fowner",
        ]
        try withHost(owner: "root:sanlock", mode: 0o2775) { host in
            try host.expectStart("/one", prefix: squashed)
            let sight = try #require(FileSight(try host.path("/one")))
            #expect(sight.group == host.groupID && sight.permissions == 0o660)
            try host.expectStart("/one")
            // A broken one is mended the same way.
            #expect(truncate(try host.path("/one"), 0) == 0)
            try LeaseDirectory.waitUntilOld([try host.path("/one")])
            try host.expectStart("/one", prefix: squashed)
        }
        // Where neither owner nor group can be had, that is said, and nothing is left.
        try withHost { host in
            try host.expectRefusal("/one", codes: [73, 77], naming: host.leaseDirectory, prefix: squashed)
            #expect(try LeaseDirectory.visibleFiles(host.leaseDirectory) == [])
        }
    }

    @Test func filesThatTheDaemonMayNotUseAreNamed() throws {
        try withHost { host in
            try host.expectStart("/good")
            for (mode, owner) in [
                (0, "root:root"), (0o600, "root:root"), (0o660, "nobody:root"), (0o440, "sanlock:root"),
            ] {
                let path = try host.path("/one")
                #expect(
                    FileManager.default.createFile(
                        atPath: path,
                        contents: FileManager.default.contents(
                            atPath: try host.path("/good"))))
                try Program.run("chown", [owner, path]).expecting(.exit(0))
                #expect(chmod(path, mode_t(mode)) == 0)
                let before = FileSight(path)
                try host.expectRefusal("/one", codes: [73, 77], naming: path)
                #expect(FileSight(path) == before)
                unlink(path)
            }
            try host.expectStart("/good")
        }
    }

    @Test func aLockspaceThatTheDaemonMayNotUseIsNamed() throws {
        try withHost { host in
            let path = "\(host.leaseDirectory)/\(TwoHosts.lockspace)"
            #expect(FileManager.default.createFile(atPath: path, contents: Data(count: 1 << 20)))
            #expect(chmod(path, 0) == 0)
            try host.expectRefusal("/one", codes: [69, 73, 77], naming: path)
            #expect(FileSight(path)?.permissions == 0)
        }
    }

    @Test func aRecordDirectoryThatTheDaemonCannotSearchIsNamed() throws {
        try withHost { host in
            try FileManager.default.createDirectory(
                atPath: "\(host.leaseDirectory)/.leasehold", withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700])
            try host.expectRefusal("/one", codes: [73, 77], naming: host.leaseDirectory)
            #expect(chmod("\(host.leaseDirectory)/.leasehold", 0o755) == 0)
            try host.expectStart("/one")
        }
    }

    @Test func aDirectoryThatTheDaemonCannotSearchIsNamed() throws {
        try withHost(mode: 0o700) { host in
            try host.expectRefusal("/one", codes: [73, 77], naming: host.leaseDirectory)
            #expect(try LeaseDirectory.visibleFiles(host.leaseDirectory) == [])
        }
    }
}
