import Foundation
import TestSupport

/// A system call, told by its name and how many of that name its thread had made.
struct SystemCall: Hashable, CustomStringConvertible {
    let name: String
    let count: Int
    /// What strace wrote of it.
    let line: String

    var description: String { "\(name) \(count): \(line.prefix(120))" }

    static func == (one: SystemCall, other: SystemCall) -> Bool { one.name == other.name && one.count == other.count }

    func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(count)
    }

    /// The calls in what strace wrote, by thread; those of an only thread under 0.
    static func parse(_ path: String) throws -> [pid_t: [SystemCall]] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { throw TestFailure("no \(path)") }
        var calls: [pid_t: [SystemCall]] = [:]
        var counts: [pid_t: [String: Int]] = [:]
        for line in text.split(separator: "\n") {
            let first = line.prefix { $0 != " " }
            let thread = pid_t(first) ?? 0
            let rest = thread == 0 ? line : line.dropFirst(first.count).drop { $0 == " " }
            let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            guard !name.isEmpty, rest.dropFirst(name.count).first == "(" else { continue }
            let count = (counts[thread]?[String(name)] ?? 0) + 1
            counts[thread, default: [:]][String(name)] = count
            calls[thread, default: []].append(SystemCall(name: String(name), count: count, line: String(rest)))
        }
        return calls
    }
}

/// strace, attached to processes or threads that run.
struct Tracer {
    let running: RunningProgram
    let path: String

    /// Returns when it is attached, so that no call is missed from now on.
    ///
    /// - Parameters:
    ///   - target: a thread; the whole process with `wholeProcess`.
    ///   - kill: the call at whose beginning the process is killed; nil only writes down.
    init(_ target: pid_t, wholeProcess: Bool = false, kill: SystemCall? = nil, _ scratch: Scratch) throws {
        path = scratch.file("trace-\(UUID().uuidString.prefix(8))")
        var arguments = ["-o", path, "-s", "512", "-p", "\(target)"] + (wholeProcess ? ["-f"] : [])
        if let kill {
            arguments += ["-e", "trace=\(kill.name)", "-e", "inject=\(kill.name):signal=SIGKILL:when=\(kill.count)"]
        }
        running = try scratch.start(Program("strace", arguments))
        try running.waitForOutput("attached", in: .errors)
    }

    /// Lets go of the process, where it still runs, and tells what was seen.
    func finish() throws -> [pid_t: [SystemCall]] {
        running.signal(SIGTERM)
        try running.wait(timeout: 10)
        return try SystemCall.parse(path)
    }
}

/// A start whose worker thread has asked the stopped daemon, and waits: what follows are the calls that make files.
struct HeldStart {
    let running: RunningProgram
    let worker: pid_t

    /// Stops the daemon, which `cont` has to set free again.
    init(_ program: Program, _ daemon: SanlockDaemon, _ scratch: Scratch) throws {
        daemon.stop()
        let running = try scratch.start(program)
        self.running = running
        var last = ""
        worker = try eventuallyFound(within: 10, every: 4, "the worker of \(running) waiting for the daemon") {
            guard running.isRunning else { throw TestFailure("\(running): \(running.errors)") }
            let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(running.pid)/task")) ?? []
            let workers = tasks.compactMap { pid_t($0) }.filter { $0 != running.pid }
            guard workers.count == 1, let worker = workers.first else { return nil }
            // The call that it is in, with its arguments; "running" where it is in none.
            let call = readProcessFile(running.pid, "task/\(worker)/syscall")
                .map { String(decoding: $0, as: UTF8.self) }
            defer { last = call ?? "" }
            return call == last && !last.hasPrefix("running") && hasCalled(running.pid) ? worker : nil
        }
    }
}

/// Whether a supervisor has a socket besides the one that it listens at: it has called the daemon.
private func hasCalled(_ pid: pid_t) -> Bool {
    let folder = "/proc/\(pid)/fd"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let sockets = names.filter {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)"))?.hasPrefix("socket:") == true
    }
    return sockets.count >= 2
}
