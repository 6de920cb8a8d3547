import Foundation
import TestSupport
import Testing

/// A place on a host with a run directory and a configuration of its own, so that what a start leaves behind can be
/// told from what the other tests do on the same host at the same time.
struct Station {
    let scratch: Scratch
    let runDirectory: String
    let configuration: String
    let leaseDirectory: String
    let daemon: SanlockDaemon
    var more: [String: String] = [:]

    /// On a host of a pair.
    init(on host: TestSupport.Host, of hosts: TwoHosts, _ scratch: Scratch, settings: [String: String] = [:]) throws {
        try self.init(
            host.daemon, id: host.id, leaseDirectory: hosts.leaseDirectory, scratch, settings: settings)
    }

    /// On a daemon of the test's own. The io timeout is 1, unless `settings` say otherwise; nil takes a key out.
    init(
        _ daemon: SanlockDaemon, id: Int, leaseDirectory: String, _ scratch: Scratch, settings: [String: String?] = [:]
    ) throws {
        self.scratch = scratch
        self.daemon = daemon
        self.leaseDirectory = leaseDirectory
        let mark = UUID().uuidString.prefix(4)
        runDirectory = try scratch.directory("r\(id)-\(mark)")
        var values: [String: String?] = [
            "disk_lease_dir": "\"\(leaseDirectory)\"", "host_id": "\(id)", "io_timeout": "1",
        ]
        values.merge(settings) { $1 }
        let lines = values.sorted { $0.key < $1.key }.compactMap { key, value in value.map { "\(key) = \($0)\n" } }
        configuration = try scratch.write(lines.joined(), to: "\(id)-\(mark).conf")
    }

    /// Runs `body` with a place on each host of the shared pair, gone afterwards.
    static func withTwo(_ body: (TwoHosts, _ here: Station, _ there: Station) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            try body(
                hosts, try Station(on: hosts.first, of: hosts, scratch),
                try Station(on: hosts.second, of: hosts, scratch))
        }
    }

    /// What a program on this station has in its environment.
    var environment: [String: String] {
        [
            "SANLOCK_RUN_DIR": daemon.runDirectory, "LEASEHOLD_RUN_DIR": runDirectory,
            "LEASEHOLD_CONFIG": configuration,
        ].merging(more) { $1 }
    }

    /// The supervisor with these options in front of a command.
    func supervised(_ options: [String], _ command: [String]) throws -> Program {
        var program = Program(
            try Products.supervisor(), options + ["--"] + command, environment: environment, directory: scratch.path)
        program.input = .null
        return program
    }

    /// Runs a guest of an instant on a disk, and says how that went.
    func attempt(_ disk: String, _ options: [String] = []) throws -> Outcome {
        try supervised(
            ["--name", "other", "--no-auto-disks", "--disk", disk] + options, try Probe.command("exit", "0")
        ).run(timeout: 20)
    }

    /// Starts a guest and waits until it runs.
    func start(_ options: [String] = [], _ command: [String]? = nil, named name: String = "guest") throws -> Guest {
        try despiteSlowStorage { try startOnce(options, command, name) }
    }

    private func startOnce(_ options: [String], _ command: [String]?, _ name: String) throws -> Guest {
        let command = try command ?? Probe.command("sleep", "60")
        let running = try scratch.start(try supervised(["--name", name] + options, command))
        let guest = Guest(running: running, name: name, station: self)
        try eventually(within: 30, "guest \(name) running") {
            guard running.isRunning else { throw TestFailure("\(running): \(running.errors)") }
            // What an earlier one left there doesn't count.
            let text = FileManager.default.contents(atPath: "\(runDirectory)/guests/\(name)/child.pid") ?? Data()
            guard let child = pid_t(String(decoding: text.dropLast(), as: UTF8.self)) else { return false }
            return running.descendants.contains { $0.pid == child }
        }
        return guest
    }

    /// Runs `leasehold` here.
    func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try Program(try Products.cli(), arguments, environment: environment).run(timeout: timeout)
    }

    /// Every file of the run directory; what is there in common for all guests is not counted.
    func runFiles() -> Set<String> {
        Set(FileManager.default.subpaths(atPath: runDirectory) ?? []).subtracting(["guests", "exits"])
    }

    /// Files made aside by one process in the lease directory, and never put in place or removed.
    func unfinishedFiles(of pid: pid_t) -> [String] {
        let all = (FileManager.default.subpaths(atPath: leaseDirectory) ?? []) + runFiles()
        return all.filter { $0.hasSuffix(".new") || $0.contains("/new.") && $0.contains(".\(pid).") }
            .filter { $0.contains("\(pid)") }
    }

    /// The names of all records of a disk's holders.
    func records(of disk: String) throws -> [String] {
        let name = try leaseName(disk)
        return try FileManager.default.contentsOfDirectory(atPath: "\(leaseDirectory)/.leasehold")
            .filter { $0.hasPrefix(name) && $0.hasSuffix(".json") }.sorted()
    }

    /// The holder record of a disk, as a person would read it.
    func record(of disk: String) throws -> JSONValue? {
        let path = "\(leaseDirectory)/.leasehold/\(try leaseName(disk)).json"
        return try FileManager.default.contents(atPath: path).map { try JSONValue(parsing: $0) }
    }
}

/// A guest that runs.
struct Guest {
    let running: RunningProgram
    let name: String
    let station: Station

    var pid: pid_t { running.pid }

    /// The leases that the daemon says this guest holds.
    func leases() throws -> [SanlockStatus.Resource] { try station.daemon.clientStatus().resources(of: pid) }

    /// Its status, as `leasehold status --json` tells.
    func status() throws -> JSONValue {
        try station.leasehold("status", name, "--json").expecting(.exit(0)).json()
    }

    /// Waits until the others can read who holds this disk.
    func waitUntilRecorded(_ disk: String) throws {
        try eventually(within: 20, "the record of \(disk)") {
            try station.record(of: disk)?["guest"]?.string == name
        }
    }

    /// Ends it and waits for that.
    @discardableResult
    func stop() throws -> Outcome {
        running.signal(SIGTERM)
        return try running.finish(timeout: 10)
    }
}

/// What a lease of a disk has to be, by libvirt's rules.
struct ExpectedLease: Hashable, CustomStringConvertible {
    let lockspace: String
    let name: String
    let path: String
    let offsetBytes: UInt64
    let isShared: Bool

    var description: String { "\(lockspace):\(name):\(path):\(offsetBytes)\(isShared ? ":SH" : "")" }

    init(_ disk: String, in directory: String, shared: Bool = false) throws {
        name = try leaseName(disk)
        lockspace = TwoHosts.lockspace
        path = "\(directory)/\(name)"
        offsetBytes = 0
        isShared = shared
    }

    init(_ resource: SanlockStatus.Resource) {
        lockspace = resource.lockspace
        name = resource.name
        path = resource.path
        offsetBytes = resource.offsetBytes
        isShared = resource.isShared
    }

    init(lockspace: String = TwoHosts.lockspace, name: String, path: String, offsetBytes: UInt64, shared: Bool) {
        self.lockspace = lockspace
        self.name = name
        self.path = path
        self.offsetBytes = offsetBytes
        isShared = shared
    }
}

/// Checks that a guest holds exactly these leases, as `sanlock client status` lists them.
func expectLeases(
    of guest: Guest, _ expected: [ExpectedLease], sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let held = try guest.leases()
    #expect(Set(held.map(ExpectedLease.init)) == Set(expected), sourceLocation: sourceLocation)
    #expect(held.count == expected.count, sourceLocation: sourceLocation)
    #expect(held.filter { !$0.remarks.isEmpty } == [], sourceLocation: sourceLocation)
}

/// What a start that fails has to leave: nothing but its one line.
struct Refusal {
    let outcome: Outcome
    /// The line, without the newline.
    let line: String
}

extension Station {
    /// Runs a start that has to fail, and checks all that each such start promises: the exit code, one line on standard
    /// error with these words in it, nothing on standard output, and nothing left behind.
    @discardableResult
    func refused(
        _ options: [String] = [], _ command: [String]? = nil, code: Int32, naming words: [String] = [],
        within seconds: Double = 15, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Refusal {
        let command = try command ?? Probe.command("sleep", "60")
        return try refused(
            try supervised(options, command), code: code, naming: words, within: seconds,
            sourceLocation: sourceLocation)
    }

    /// The same of any program.
    @discardableResult
    func refused(
        _ program: Program, code: Int32, naming words: [String] = [], within seconds: Double = 15,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Refusal {
        // Guests that run rewrite their own.
        func lastingFiles() -> Set<String> { runFiles().filter { !$0.hasSuffix(".new") } }
        let before = lastingFiles()
        let strays = Set(scratch.strayProcesses)
        let running = try scratch.start(program)
        guard (try? running.wait(timeout: seconds)) == .exit(code) else {
            let words = program.arguments.joined(separator: " ").prefix(500)
            Issue.record(
                "expected exit \(code): \(running); \(words)\n\(running.errors)", sourceLocation: sourceLocation)
            running.end()
            return Refusal(outcome: try running.finish(), line: "")
        }
        let outcome = try running.finish()
        let line = expectOneLine(outcome, code: code, naming: words, sourceLocation: sourceLocation)
        #expect(lastingFiles() == before, "left in the run directory", sourceLocation: sourceLocation)
        #expect(unfinishedFiles(of: running.pid).isEmpty, "half made", sourceLocation: sourceLocation)
        var left: [ProcessIdentity] = []
        _ = try? eventually(within: 1, every: 20) {
            left = scratch.strayProcesses.filter { !strays.contains($0) && $0.exists }
            return left.isEmpty
        }
        #expect(left == [], "processes left", sourceLocation: sourceLocation)
        if daemon.isRunning, ProcessStatus(daemon.pid)?.state != "T" {
            // sanlock frees them some milliseconds after the end.
            try eventually(within: 2, every: 20, "the leases of \(running) being free") {
                try daemon.clientStatus().resources(of: running.pid).isEmpty
            }
        }
        return Refusal(outcome: outcome, line: line)
    }
}

/// Checks that a program failed as people want it: with this code, and one line on standard error.
@discardableResult
func expectOneLine(
    _ outcome: Outcome, code: Int32, naming words: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
) -> String {
    #expect(outcome.status == .exit(code), "\(outcome)", sourceLocation: sourceLocation)
    #expect(outcome.output == "", sourceLocation: sourceLocation)
    let lines = outcome.errors.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 2 && lines.last == "", "not one line: \(outcome.errors)", sourceLocation: sourceLocation)
    let line = lines.first.map(String.init) ?? ""
    #expect(line.hasPrefix("leasehold: "), "\(line)", sourceLocation: sourceLocation)
    let controls = line.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
    #expect(!controls, "control characters: \(line.debugDescription)", sourceLocation: sourceLocation)
    for word in words {
        #expect(word.isEmpty || line.contains(word), "“\(word)” is not in: \(line)", sourceLocation: sourceLocation)
    }
    return line
}
