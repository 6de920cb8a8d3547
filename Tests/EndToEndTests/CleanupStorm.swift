import Foundation
import Synchronization
import TestSupport

/// Random numbers that a printed seed brings back.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// What is slowed down, by strace: some calls of a kind, each by up to so many milliseconds.
struct Delays: Sendable {
    /// Calls of the sanlock daemons.
    var daemons: [String] = []
    /// Calls of supervisors and their guests.
    var starts: [String] = []
    /// Calls of the clean-ups.
    var cleanups: [String] = []
    var milliseconds = 40

    static let none = Delays()
    static let all = Delays(daemons: daemonCalls, starts: startCalls, cleanups: cleanupCalls)
    static let daemonCalls = ["io_submit", "io_getevents", "openat", "pread64", "pwrite64"]
    static let startCalls = ["openat", "renameat2", "rename", "unlink", "fallocate", "fcntl", "sendto"]
    static let cleanupCalls = ["openat", "unlink", "fcntl", "sendto", "close"]

    /// strace's options for these calls: which of them are slow, and how much, is left to chance.
    func options(_ calls: [String], _ chance: inout SeededNumbers) -> [String] {
        let injections = calls.flatMap { call -> [String] in
            let first = Int.random(in: 1...6, using: &chance)
            let step = Int.random(in: 2...7, using: &chance)
            let microseconds = Int.random(in: 500...(milliseconds * 1000), using: &chance)
            let side = Bool.random(using: &chance) ? "delay_enter" : "delay_exit"
            return ["-e", "inject=\(call):\(side)=\(microseconds):when=\(first)+\(step)"]
        }
        return ["-f", "-qq", "-o", "/dev/null", "-e", "trace=\(calls.joined(separator: ","))"] + injections
    }
}

/// What starts and clean-ups came to.
struct StormTally {
    /// A guest that ran. Its supervisor lived a little longer at both ends.
    struct Run {
        let guest: String
        let disks: [String]
        let isShared: Bool
        let guestNanoseconds: ClosedRange<UInt64>
        let supervisorNanoseconds: ClosedRange<UInt64>
    }
    /// A start that was told that a disk is busy.
    struct Refusal {
        let guest: String
        let disks: [String]
        let nanoseconds: ClosedRange<UInt64>
        let line: String
    }

    var runs: [Run] = []
    var refusals: [Refusal] = []
    var cleanups = 0
    var removed = 0
    /// Files that were removed by `virt-sanlock-cleanup`'s way.
    var foreignRemovals = 0
    /// Everything that went otherwise than it should.
    var failures: [String] = []
}

/// Starts and clean-ups on both hosts of a pair at the same time, on a few disks, until a time is over.
final class CleanupStorm: Sendable {
    let hosts: TwoHosts
    let disks: [String]
    private let stations: [Station]
    private let tally = Mutex(StormTally())
    private let seed: UInt64

    /// What is run besides starts.
    enum Cleaner: Sendable {
        case ours
        /// The loop of `virt-sanlock-cleanup`, over the directory's files.
        case libvirts
    }

    init(_ hosts: TwoHosts, disks: Int = 3) throws {
        self.hosts = hosts
        self.disks = try (0..<disks).map { _ in try hosts.disk() }
        stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, hosts.scratch) }
        seed = UInt64.random(in: 0..<1_000_000)
        print("storm: seed \(seed)")
    }

    /// What has happened so far.
    var sum: StormTally { tally.withLock { $0 } }

    /// Runs for some seconds. Blocks for that long and the rest of a start.
    ///
    /// - Parameter starters: how many starts there are at once on each host.
    func run(seconds: Double, _ delays: Delays, starters: Int = 2, cleaners: [Cleaner] = [.ours]) throws {
        var chance = SeededNumbers(seed: seed &+ monotonicNanoseconds())
        let deadline = monotonicNanoseconds() + UInt64(seconds * 1e9)
        let tracers = try slowDaemons(delays, &chance)
        defer {
            for tracer in tracers {
                tracer.signal(SIGTERM)
                _ = try? tracer.wait(timeout: 20)
            }
        }
        var jobs: [@Sendable (inout SeededNumbers) throws -> Void] = []
        for (index, station) in stations.enumerated() {
            for number in 0..<starters {
                jobs.append { [self] in try start("h\(index + 1)w\(number)", station, delays, &$0) }
            }
            for cleaner in cleaners {
                jobs.append { [self] in
                    switch cleaner {
                    case .ours: try cleanUp(station, delays, &$0)
                    case .libvirts: try cleanUpAsLibvirt(station, delays, &$0)
                    }
                }
            }
        }
        let group = DispatchGroup()
        for job in jobs {
            let seed = chance.next()
            group.enter()
            Thread { [self] in
                defer { group.leave() }
                var chance = SeededNumbers(seed: seed)
                while monotonicNanoseconds() < deadline {
                    do {
                        try job(&chance)
                    } catch {
                        return tally.withLock { $0.failures.append("\(error)") }
                    }
                }
            }.start()
        }
        group.wait()
    }

    private func slowDaemons(_ delays: Delays, _ chance: inout SeededNumbers) throws -> [RunningProgram] {
        if delays.daemons.isEmpty { return [] }
        return try stations.map { station in
            let options = delays.options(delays.daemons, &chance).filter { $0 != "-qq" }
            let tracer = try hosts.scratch.start(Program("strace", options + ["-p", "\(station.daemon.pid)"]))
            try tracer.waitForOutput("attached", in: .errors)
            return tracer
        }
    }

    // MARK: - Starts

    private func start(_ name: String, _ station: Station, _ delays: Delays, _ chance: inout SeededNumbers) throws {
        pause(milliseconds: Double.random(in: 0...8, using: &chance))
        let wanted = Array(disks.shuffled(using: &chance).prefix([1, 1, 1, 2].randomElement(using: &chance) ?? 1))
        let isShared = Int.random(in: 0..<6, using: &chance) == 0
        let seconds = "\(Double.random(in: 0...0.03, using: &chance))"
        // One guest a start; its identity is in all disks that it writes.
        let guests = try wanted.map { disk in
            try Probe.command(isShared ? "watch" : "claim", disk) + (isShared ? [] : ["\(name)"]) + [seconds]
        }
        let command = guests.count == 1 ? guests[0] : shell(guests)
        let options = wanted.flatMap { [isShared ? "--shared-disk" : "--disk", $0] }
        var program = try station.supervised(["--name", name] + options, command)
        if !delays.starts.isEmpty {
            program = program.prefixed(by: ["strace"] + delays.options(delays.starts, &chance))
        }
        let running = try program.start()
        defer { running.end() }
        let outcome = try running.finish(timeout: 60)
        let span = running.startedNanoseconds...(running.endedNanoseconds ?? monotonicNanoseconds())
        tally.withLock { $0.count(outcome, name, wanted, isShared, span) }
    }

    private func shell(_ commands: [[String]]) -> [String] {
        let lines = commands.map { "\($0.joined(separator: " ")) & p=\"$p $!\"" }.joined(separator: "\n")
        return ["/bin/sh", "-c", "\(lines)\nfor one in $p; do wait $one || exit; done"]
    }

    // MARK: - Clean-ups

    private func cleanUp(_ station: Station, _ delays: Delays, _ chance: inout SeededNumbers) throws {
        pause(milliseconds: Double.random(in: 0...15, using: &chance))
        var program = Program(
            try Products.cli(), ["lease", "cleanup", "--json"], environment: station.environment)
        if !delays.cleanups.isEmpty {
            program = program.prefixed(by: ["strace"] + delays.options(delays.cleanups, &chance))
        }
        let outcome = try program.run(timeout: 60)
        tally.withLock { tally in
            tally.cleanups += 1
            guard outcome.succeeded, let report = try? outcome.json(), let removed = report["removed"]?.integer else {
                tally.failures.append("clean-up: \(outcome)")
                return
            }
            tally.removed += removed
            // Every file there was made whole.
            if report["damaged"]?.integer != 0 { tally.failures.append("clean-up: \(outcome)") }
        }
    }

    private func cleanUpAsLibvirt(_ station: Station, _ delays: Delays, _ chance: inout SeededNumbers) throws {
        let names = try LeaseDirectory.visibleFiles(hosts.leaseDirectory).filter { $0 != TwoHosts.lockspace }
        for name in names {
            let path = "\(hosts.leaseDirectory)/\(name)"
            var program = Program(
                "sanlock",
                ["client", "command", "-r", "\(TwoHosts.lockspace):\(name):\(path):0", "-c", "/bin/rm", "-f", path],
                environment: station.environment)
            if !delays.cleanups.isEmpty {
                let calls = ["unlinkat", "sendto", "exit_group", "execve"]
                program = program.prefixed(by: ["strace"] + delays.options(calls, &chance))
            }
            let outcome = try program.run(timeout: 60)
            if outcome.succeeded { tally.withLock { $0.foreignRemovals += 1 } }
        }
        pause(milliseconds: Double.random(in: 0...15, using: &chance))
    }
}

// MARK: - Judging

extension StormTally {
    fileprivate mutating func count(
        _ outcome: Outcome, _ name: String, _ disks: [String], _ isShared: Bool, _ span: ClosedRange<UInt64>
    ) {
        let lines = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
        func times(_ word: String) -> [UInt64] {
            lines.filter { $0.first == Substring(word) }.compactMap { UInt64($0[1]) }
        }
        switch outcome.status {
        case .exit(0):
            guard let began = times("began").min(), let ended = times("ended").max(),
                times("ended").count == disks.count
            else {
                failures.append("\(name) on \(disks): \(outcome)")
                return
            }
            runs.append(
                Run(
                    guest: name, disks: disks, isShared: isShared, guestNanoseconds: began...ended,
                    supervisorNanoseconds: span))
        case .exit(75) where outcome.output.isEmpty:
            refusals.append(Refusal(guest: name, disks: disks, nanoseconds: span, line: outcome.errors))
        case .exit(69) where outcome.output.isEmpty && TestFailure(outcome.errors).isOfSlowStorage: break
        default:
            failures.append("\(name) on \(disks): \(outcome)")
        }
    }

    /// Pairs of guests that had one disk at the same time, and not both shared.
    var overlaps: [(Run, Run)] {
        var found: [(Run, Run)] = []
        for disk in Set(runs.flatMap(\.disks)) {
            let ordered = runs.filter { $0.disks.contains(disk) }
                .sorted { $0.guestNanoseconds.lowerBound < $1.guestNanoseconds.lowerBound }
            for (index, run) in ordered.enumerated() {
                // A guest of these runs for milliseconds; with delays for less than a second.
                for later in ordered[(index + 1)...].prefix(40)
                where later.guestNanoseconds.lowerBound <= run.guestNanoseconds.upperBound
                    && !(run.isShared && later.isShared)
                {
                    found.append((run, later))
                }
            }
        }
        return found
    }

    /// Refusals by what they say, with whether a guest that has to do with one of the disks ran at that time.
    var refusalsByKind: [String: [Refusal]] {
        Dictionary(grouping: refusals) { refusal in
            let others = runs.filter { run in
                run.supervisorNanoseconds.overlaps(refusal.nanoseconds) && run.guest != refusal.guest
                    && !Set(run.disks).isDisjoint(with: refusal.disks)
            }
            let named = refusal.line.firstMatch(of: /held by guest (\S+)/).map { String($0.1) }
            if let named { return others.contains { $0.guest == named } ? "named" : "named wrongly" }
            if refusal.line.contains("still being released") {
                return others.isEmpty ? "released, by nobody" : "released"
            }
            if !others.isEmpty { return "unnamed" }
            // Of two starts that want several disks each may have one for a moment, and neither gets both.
            let isMutual = refusals.contains { other in
                other.guest != refusal.guest && other.disks.count > 1 && other.nanoseconds.overlaps(refusal.nanoseconds)
                    && !Set(other.disks).isDisjoint(with: refusal.disks)
            }
            return isMutual ? "unnamed, mutual" : "unnamed, by nobody"
        }
    }

    /// One line of numbers.
    var summary: String {
        let kinds = refusalsByKind.sorted { $0.key < $1.key }.map { "\($0.value.count) \($0.key)" }
        return "\(runs.count) guests ran, \(refusals.count) refused (\(kinds.joined(separator: ", "))), "
            + "\(cleanups) clean-ups, \(removed) leases removed by ours, \(foreignRemovals) by libvirt's, "
            + "\(overlaps.count) overlaps, \(failures.count) failures"
    }
}
