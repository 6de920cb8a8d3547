import Foundation
import Synchronization
import TestSupport

/// A guest of a QEMU that writes all the time, under a supervisor that is to be upgraded.
struct UpgradeStage {
    let stage: KillStage
    let writer: WriterGuest
    let program: RunningProgram
    let child: ProcessIdentity
    let keeper: ProcessIdentity
    let control: String
    private let observer: DiskObserver

    init(_ hosts: TwoHosts, options: [String] = [], supervisor: String? = nil) throws {
        let stage = try KillStage(hosts)
        self.stage = stage
        let monitor = hosts.scratch.file("q\(stage.tag)")
        writer = try WriterGuest(identity: 1, disk: stage.disk, hertz: 50, in: hosts.scratch)
        var program = try stage.supervised(
            ["--name", "guest", "--qmp", monitor] + options, writer.command(qmpSocket: monitor))
        if let supervisor { program.path = supervisor }
        let running = try hosts.scratch.start(program)
        self.program = running
        control = "\(stage.runDirectory)/guests/guest/control"
        let observer = try DiskObserver(stage.disk)
        self.observer = observer
        try eventually(within: 30, every: 10, "the first write: \(running.errors)") {
            observer.lastWrite(of: 1) != nil
        }
        child = try eventuallyFound(within: 10, "QEMU running: \(running.errors)") {
            let child = try stage.leasehold("child-pid", "guest").output.dropLast()
            return pid_t(child).flatMap { ProcessIdentity(living: $0) }
        }
        keeper = try eventuallyFound(within: 5, "the keeper") { try keeperOf(running.pid) }
    }

    /// Ends the guest, and all of it.
    func end() throws {
        observer.end()
        try stage.leasehold("kill", "guest").expecting(.exit(0))
        try stage.expectNothingLeft()
    }

    func upgrade(_ options: String...) throws -> Outcome {
        try stage.cli(["upgrade", "guest"] + options).run(timeout: 30)
    }

    func status() throws -> JSONValue {
        try stage.leasehold("status", "guest", "--json").expecting(.exit(0)).json()
    }

    func version() throws -> Int {
        try eventuallyFound(within: 5, "a version") { try status()["leases"]?[0]?["version"]?.integer }
    }

    /// The lver that the daemon has of it, and whose pid.
    func held() throws -> [String] {
        try stage.hosts.holders(of: stage.disk).map { "\($0.host.id) \($0.resource.pid) \($0.resource.version ?? 0)" }
    }

    /// How many times the guest has written.
    var writes: UInt32 { observer.lastWrite(of: 1)?.number ?? 0 }

    /// The longest time between two writes that were seen, in seconds.
    var longestPause: Double {
        let moments = observer.writes(of: 1).map(\.seenNanoseconds)
        return zip(moments, moments.dropFirst()).map { Double($1 - $0) / 1e9 }.max() ?? 0
    }

    func expectWriting() throws {
        let before = writes
        try eventually(within: 5, "the guest writing") { writes > before }
    }

    // MARK: What may leak

    /// The supervisor's descriptors, by what they are of.
    func descriptors() throws -> [String] {
        let folder = "/proc/\(program.pid)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
            return target.map { String($0.prefix { $0 != "[" }) }
        }.sorted()
    }

    var threads: Int { ProcessStatus(program.pid)?.threads ?? 0 }

    /// Private memory of the supervisor, in kB.
    func privateMemory() throws -> Int { try privateKilobytes(of: program.pid) }

    /// Its children, zombies too.
    var children: [pid_t] {
        allProcesses().filter { ProcessStatus($0)?.parent == program.pid }
    }
}

/// A client that asks for the status all the time, on connections that it makes anew where they close.
final class ControlLoad: Sendable {
    private struct State {
        var answers = 0
        var closings = 0
        var refusals: [String] = []
        var isEnding = false
        var hasEnded = false
    }

    private let state = Mutex(State())

    init(_ control: String) {
        Thread { [self] in
            while !state.withLock({ $0.isEnding }) { converse(control) }
            state.withLock { $0.hasEnded = true }
        }.start()
    }

    private func converse(_ control: String) {
        do {
            let connection = try ControlConnection(control)
            while !state.withLock({ $0.isEnding }) {
                guard let answer = try? connection.call("GetStatus"), answer["status"]?["state"] != nil else {
                    return state.withLock { $0.closings += 1 }
                }
                state.withLock { $0.answers += 1 }
                pause(milliseconds: 1)
            }
        } catch {
            state.withLock { $0.refusals.append("\(error)") }
            pause(milliseconds: 5)
        }
    }

    /// Ends it. Says how many answers there were, how often a connection closed, and how often none was to be had.
    func end() throws -> (answers: Int, closings: Int, refusals: [String]) {
        state.withLock { $0.isEnding = true }
        try eventually(within: 30, "the load's end") { state.withLock { $0.hasEnded } }
        return state.withLock { ($0.answers, $0.closings, $0.refusals) }
    }
}
