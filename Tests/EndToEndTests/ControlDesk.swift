import Foundation
import TestSupport

/// A place to run guests and to ask about them: one of the shared hosts, with a run directory of the test's own, so that
/// `list` and `events` see the test's guests alone.
struct ControlDesk {
    let host: TestSupport.Host
    let scratch: Scratch
    let runDirectory: String

    /// Runs `body` at a desk that is cleared afterwards.
    static func with<Result>(_ host: TestSupport.Host? = nil, _ body: (ControlDesk) throws -> Result) throws -> Result {
        let host = try host ?? TwoHosts.shared.first
        return try withScratch { scratch in
            try body(ControlDesk(host: host, scratch: scratch, runDirectory: try scratch.directory("run")))
        }
    }

    /// The same run directory's view from another host: other leases, another sanlock daemon.
    func on(_ host: TestSupport.Host) -> ControlDesk {
        ControlDesk(host: host, scratch: scratch, runDirectory: runDirectory)
    }

    // MARK: Commands

    /// A program with this desk's environment.
    func program(_ path: String, _ arguments: [String]) -> Program {
        var program = host.program(path, arguments)
        program.environment["LEASEHOLD_RUN_DIR"] = runDirectory
        return program
    }

    /// A `leasehold` command, to be started.
    func command(_ arguments: String...) throws -> Program { try program(Products.cli(), arguments) }

    /// Runs `leasehold` to its end.
    func leasehold(_ arguments: String..., timeout: Double = 30) throws -> Outcome {
        try program(Products.cli(), arguments).run(timeout: timeout)
    }

    /// Runs `leasehold`, which has to exit with 0, and reads its output.
    func json(_ arguments: String...) throws -> JSONValue {
        try program(Products.cli(), arguments).run().expecting(.exit(0)).json()
    }

    // MARK: Guests

    /// A supervisor in front of a command; where neither `disks` nor `leased` say that it takes leases, it is one of the
    /// nop driver.
    func supervised(
        _ name: String, options: [String] = [], disks: [String] = [], command: [String] = ["sleep", "60"],
        leased: Bool = false
    ) throws -> Program {
        let driver = disks.isEmpty && !leased ? ["--driver", "nop"] : []
        let all = ["--name", name] + driver + disks.flatMap { ["--disk", $0] } + options + ["--"] + command
        return program(try Products.supervisor(), all)
    }

    /// Starts a guest and waits until it runs.
    func start(
        _ name: String, options: [String] = [], disks: [String] = [], command: [String] = ["sleep", "60"],
        leased: Bool = false
    ) throws -> ControlledGuest {
        let program = try supervised(name, options: options, disks: disks, command: command, leased: leased)
        return try despiteSlowStorage {
            try ControlledGuest(name: name, directory: guestDirectory(name), supervisor: scratch.start(program))
        }
    }

    /// `guests/NAME` of a guest whose name needs no escapes.
    func guestDirectory(_ name: String) -> String { "\(runDirectory)/guests/\(name)" }

    /// `exits/NAME.json`.
    func exitPath(_ name: String) -> String { "\(runDirectory)/exits/\(name).json" }

    /// The exit record's content; nil where there is none.
    func exitRecord(_ name: String) throws -> JSONValue? {
        try FileManager.default.contents(atPath: exitPath(name)).map(JSONValue.init(parsing:))
    }

    /// The names of the guests that have a directory.
    func guestNames() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(runDirectory)/guests").sorted()
    }
}

/// A guest that runs, and its supervisor.
struct ControlledGuest {
    let name: String
    let directory: String
    let supervisor: RunningProgram
    let child: ProcessIdentity

    var control: String { "\(directory)/control" }

    /// Waits until it runs.
    init(name: String, directory: String, supervisor: RunningProgram) throws {
        self.name = name
        self.directory = directory
        self.supervisor = supervisor
        child = try eventuallyFound(within: 15, "the start of \(name)") {
            if let status = supervisor.status { throw TestFailure("\(name) ended, \(status): \(supervisor.errors)") }
            guard let text = try? String(contentsOfFile: "\(directory)/child.pid", encoding: .utf8),
                let pid = pid_t(text.trimmingCharacters(in: .newlines))
            else { return nil }
            return ProcessIdentity(living: pid)
        }
    }

    /// The process between supervisor and guest.
    func keeper() throws -> ProcessIdentity {
        guard let status = ProcessStatus(child.pid), let keeper = ProcessIdentity(living: status.parent) else {
            throw TestFailure("\(name) has no keeper")
        }
        return keeper
    }
}

/// A varlink connection by hand, for what no client library does: thousands of calls, silence, nonsense.
final class ControlConnection {
    let descriptor: Int32
    private var received: [UInt8] = []

    init(_ path: String) throws {
        guard let descriptor = try connectUnixSocket(path) else { throw TestFailure("nobody listens at \(path)") }
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Sends a call, `io.leasehold.Supervisor`'s where no interface is named.
    func send(_ method: String, _ parameters: JSONValue? = nil, more: Bool = false) throws {
        let full = method.contains(".") ? method : "io.leasehold.Supervisor.\(method)"
        let given = parameters.map { ",\"parameters\":" + String(decoding: $0.data, as: UTF8.self) } ?? ""
        let text = "{\"method\":\"\(full)\"\(given)\(more ? ",\"more\":true" : "")}\0"
        let sent = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard sent == text.utf8.count else { throw TestFailure("can't send \(method): errno \(errno)") }
    }

    /// The next reply; nil at the end.
    func receive() throws -> JSONValue? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = received.firstIndex(of: 0) {
                let message = Data(received[..<end])
                received.removeSubrange(...end)
                return try JSONValue(parsing: message)
            }
            let count = read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw TestFailure("no reply: errno \(errno)") }
            if count == 0 { return nil }
            received += buffer[..<count]
        }
    }

    /// Reads past so many replies, without a look at them.
    func skipReplies(_ count: Int) throws {
        var left = count
        var buffer = [UInt8](repeating: 0, count: 65536)
        while left > 0 {
            let size = read(descriptor, &buffer, buffer.count)
            guard size > 0 else { throw TestFailure("\(left) of \(count) replies are missing: errno \(errno)") }
            left -= buffer[..<size].count { $0 == 0 }
        }
    }

    /// Calls and returns the reply, which may be an error.
    func ask(_ method: String, _ parameters: JSONValue? = nil) throws -> JSONValue {
        try send(method, parameters)
        guard let reply = try receive() else { throw TestFailure("\(method) was not answered") }
        return reply
    }

    /// Calls and returns the reply's parameters.
    func call(_ method: String) throws -> JSONValue {
        try send(method)
        guard let reply = try receive(), let parameters = reply["parameters"], reply["error"] == nil else {
            throw TestFailure("\(method) was not answered well")
        }
        return parameters
    }
}
