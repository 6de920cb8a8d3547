import Foundation
import TestSupport
import Testing

/// The ways to start a guest that must not differ for it.
enum Front: String, CaseIterable, Sendable {
    /// As any program.
    case direct
    /// Under `leasehold-supervisor`, without a lease.
    case supervisor
    /// Under `leasehold run`, without a lease.
    case run
    /// Under `leasehold run` and the lease of a disk.
    case leased

    /// All but the direct one.
    static let supervised: [Front] = [.supervisor, .run, .leased]
}

/// A scratch directory with a run directory, and the fronts that use them.
struct FrontStage {
    let scratch: Scratch

    /// `end` belongs into a `defer` behind it.
    init() throws {
        scratch = try Scratch()
        _ = try scratch.directory("r")
    }

    /// Ends what was started here and removes the directory.
    func end() { scratch.remove() }

    var runDirectory: String { scratch.file("r") }

    /// What every front has in its environment, so that nothing differs by it.
    func environment(_ front: Front = .direct) throws -> [String: String] {
        var environment = front == .leased ? try TwoHosts.shared.first.environment : [:]
        environment["LEASEHOLD_RUN_DIR"] = runDirectory
        return environment
    }

    /// What is put in front of a command, up to and with `--`; nothing for a direct start.
    func prefix(_ front: Front, _ options: [String] = []) throws -> [String] {
        // Warnings would mix with what the guest writes.
        let options = options + ["--log-level", "error"]
        switch front {
        case .direct: return []
        case .supervisor: return [try Products.supervisor(), "--driver", "nop"] + options + ["--"]
        case .run: return [try Products.cli(), "run", "--driver", "nop"] + options + ["--"]
        case .leased: return [try Products.cli(), "run", "--disk", try TwoHosts.shared.disk()] + options + ["--"]
        }
    }

    /// A program through a front, with the front's environment.
    func program(_ program: Program, through front: Front, _ options: [String] = []) throws -> Program {
        let prefix = try prefix(front, options)
        var changed = prefix.isEmpty ? program : program.prefixed(by: prefix)
        changed.environment.merge(try environment(front)) { given, _ in given }
        return changed
    }

    /// The probe through a front.
    func probe(_ front: Front, _ options: [String] = [], _ arguments: String...) throws -> Program {
        try program(Program(try Products.probe(), arguments), through: front, options)
    }

    /// The living process that a report or a pid file names.
    static func process(_ pid: Int?) throws -> ProcessIdentity {
        guard let pid, let process = ProcessIdentity(living: pid_t(truncatingIfNeeded: pid)) else {
            throw TestFailure("\(pid.map { "process \($0)" } ?? "a process that isn't named") does not live")
        }
        return process
    }

    /// The one exit record that was written here.
    func exitRecord() throws -> JSONValue {
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(runDirectory)/exits")
        guard names.count == 1, let data = FileManager.default.contents(atPath: "\(runDirectory)/exits/\(names[0])")
        else { throw TestFailure("not one exit record but \(names)") }
        return try JSONValue(parsing: data)
    }

    /// What guests that run, or failed to clean up, have in the run directory.
    var guestDirectories: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(runDirectory)/guests")) ?? []
    }
}

// MARK: - What a guest sees

extension FrontStage {
    /// What a guest sees that is started through a front, with what has to differ taken out of it and looked at.
    struct Sight {
        var report: JSONValue
        var outcome: Outcome
        /// Its parent-death signal.
        var parentDeathSignal: Int?
    }

    /// Has `program`, which runs the probe's `report` into `file`, tell what it sees through a front.
    func sight(_ program: Program, into file: String, through front: Front, _ options: [String] = []) throws -> Sight {
        try? FileManager.default.removeItem(atPath: file)
        let running = try self.program(program, through: front, options).start()
        defer { running.end() }
        let outcome = try running.finish()
        guard let data = FileManager.default.contents(atPath: file) else {
            throw TestFailure("through \(front): there is no report, but \(outcome)")
        }
        let report = try JSONValue(parsing: data)
        return Sight(
            report: Self.plain(report, startedAs: running.pid), outcome: outcome,
            parentDeathSignal: report["parentDeathSignal"]?.integer)
    }

    // What the caller started is the guest, or its supervisor: a group or session of that number is the same.
    private static func plain(_ report: JSONValue, startedAs pid: pid_t) -> JSONValue {
        guard case .object(var members) = report else { return report }
        for key in ["pid", "parent", "parentName", "startTime", "parentDeathSignal"] { members[key] = nil }
        let own = JSONValue.integer(Int64(pid))
        for key in ["processGroup", "session"] where members[key] == own { members[key] = "own" }
        if case .object(let terminals) = members["terminals"] {
            members["terminals"] = .object(
                terminals.mapValues { terminal in
                    guard case .object(var seen) = terminal else { return terminal }
                    for key in ["foregroundGroup", "session"] where seen[key] == own { seen[key] = "own" }
                    return .object(seen)
                })
        }
        return .object(members)
    }

    /// Expects that guests through the fronts see what one sees that is started directly.
    ///
    /// - Parameters:
    ///   - arguments: what the probe's `report` gets behind its file's name.
    ///   - options: the supervisor's.
    ///   - change: sets the caller up.
    func expectNoDifference(
        through fronts: [Front] = Front.supervised, arguments: [String] = [], options: [String] = [],
        ignoring: Set<String> = [], location: SourceLocation = #_sourceLocation,
        _ change: (inout Program) throws -> Void = { _ in }
    ) throws {
        let file = scratch.file("report")
        var program = Program(try Products.probe(), ["report", file] + arguments)
        // Files, as pipes differ from start to start.
        program.output = .file(scratch.file("output"))
        program.errors = .file(scratch.file("errors"))
        try change(&program)
        for front in fronts {
            var direct = program
            direct.environment.merge(try environment(front)) { given, _ in given }
            let expected = try sight(direct, into: file, through: .direct)
            var seen = try sight(program, into: file, through: front, options)
            var found = Self.takeLeaseSocket(from: &seen.report, front, above: expected.report)
            found += seen.report.differences(from: expected.report, ignoring: ignoring)
            if seen.outcome.status != expected.outcome.status { found.append("ended with \(seen.outcome.status)") }
            if seen.parentDeathSignal != Int(SIGKILL) { found.append("has no parent-death signal") }
            let errors = (try? String(contentsOfFile: scratch.file("errors"), encoding: .utf8)) ?? ""
            if !errors.isEmpty { found.append("standard error: \(errors)") }
            #expect(found == [], "through \(front)", sourceLocation: location)
        }
    }

    // One more descriptor, the socket that keeps the lease, is what a guest under a lease has and no other.
    private static func takeLeaseSocket(
        from report: inout JSONValue, _ front: Front, above expected: JSONValue
    ) -> [String] {
        guard case .object(var members) = report, case .object(var descriptors) = members["descriptors"],
            let theirs = expected["descriptors"]?.object
        else { return ["the report has no descriptors"] }
        let more = descriptors.keys.filter { theirs[$0] == nil }.compactMap { Int($0) }.sorted()
        guard front == .leased else { return more.isEmpty ? [] : ["has descriptors \(more)"] }
        let highest = max(theirs.keys.compactMap { Int($0) }.max() ?? 0, 2)
        guard more == [highest + 1] else { return ["has descriptors \(more) more, not \(highest + 1)"] }
        let socket = descriptors.removeValue(forKey: "\(highest + 1)")
        members["descriptors"] = .object(descriptors)
        report = .object(members)
        let isRight = socket?["kind"] == "socket" && socket?["closeOnExec"] == 0
        return isRight ? [] : ["descriptor \(highest + 1) is no inherited socket but \(socket ?? .null)"]
    }
}
