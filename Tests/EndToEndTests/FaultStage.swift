import Foundation
import Synchronization
import TestSupport

/// A fault and what has to come of it.
struct Fault: Sendable {
    /// What has to become of guest A before the other host may have the lease.
    enum Expectation: Sendable {
        /// It goes on as if nothing had been.
        case goesOn
        /// It has stopped writing within these seconds.
        case stops(withinSeconds: Double)
        /// Either, as it may be just in time.
        case either
        /// It stops, and goes on by itself with the lease taken again: nobody had taken it in between.
        case comesBack
        /// It is known that the other host comes too early; how long both write is shown.
        case knownHole
    }

    /// What the table calls it.
    var name: String
    var storage = FaultStorage.plain
    /// Whether the guest's own disk has host 1's faults too.
    var diskIsOnStorage = false
    var other = OtherGuest.Kind.hunter
    var policies = LossPolicy.allCases
    var expectation = Expectation.either
    /// The least that may be to spare, in seconds.
    var leastToSpareSeconds = 0.0
    /// How long to wait for the other host's lease, in seconds after the fault; nil where it can't come while A lives.
    var patienceSeconds: Double? = 76
    /// Makes the fault, and undoes it where it comes back. Blocks for as long as it takes.
    let make: @Sendable (FaultStage) throws -> Void
}

/// What was measured of one fault.
struct FaultRow: Sendable {
    let fault: String
    let policy: LossPolicy
    /// What became of guest A.
    var guest = ""
    /// From the fault to A's last write before the other had the lease; nil where it never stopped.
    var stoppedAfterSeconds: Double?
    /// From the fault to the other host's lease.
    var leaseAfterSeconds: Double?
    /// From A's last write before the other's lease to the lease.
    var toSpareSeconds: Double?
    /// How many writes of A were seen after the other had the lease.
    var overlaps = 0
    /// From the other's lease to the last of those.
    var overlapSeconds = 0.0
    /// Whether the guests saw each other's writing between their own.
    var sightings = 0
    var isKnownHole = false
    /// How the other start was refused for good.
    var refusal: String?
    /// By how much the version of A's lease grew.
    var versionGrowth: Int?
    /// What isn't as it has to be.
    var problems: [String] = []
}

/// One fault at work: two hosts, two guests, and somebody who looks at the disk.
final class FaultStage: Sendable {
    let hosts: FaultHosts
    let fault: Fault
    let policy: LossPolicy
    let disk: (first: String, second: String)
    let observer: DiskObserver
    let first: FaultGuest
    let other: OtherGuest
    private let began = Mutex<UInt64?>(nil)

    /// A known hole lasts until the supervisor has read the whole lease again, at each fourth look, and stopped the guest.
    private static let longestHoleSeconds = 10.0
    /// What is taken for standing still; shorter ones are the machine's.
    private static let silenceSeconds = 2.0

    /// Starts everything; guest A writes, and the other was refused the lease.
    init(_ fault: Fault, _ policy: LossPolicy, hertz: UInt32 = 25, huntEverySeconds: Double = 0.02) throws {
        self.fault = fault
        self.policy = policy
        let hosts = try FaultHosts(fault.storage)
        self.hosts = hosts
        do {
            disk = try hosts.makeDisk(onStorage: fault.diskIsOnStorage)
            observer = try DiskObserver(disk.second)
            first = try FaultGuest(policy, on: hosts, disk: disk.first, observer: observer, hertz: hertz)
            other = try OtherGuest(fault.other, on: hosts, disk: disk, everySeconds: huntEverySeconds, hertz: hertz)
        } catch {
            hosts.end()
            throw error
        }
    }

    func end() {
        observer.end()
        hosts.end()
    }

    /// Host 1's daemon.
    var daemon: SanlockDaemon { hosts.first.daemon }

    /// Kills it. The time line begins at its end: it waits for what it has asked of the storage.
    func killDaemon() {
        let ended = daemon.kill()
        began.withLock { $0 = ended }
    }

    /// Makes the fault right after a renewal, so that the time line begins with it, and measures what comes of it.
    func run() throws -> FaultRow {
        var row = FaultRow(fault: fault.name, policy: policy)
        let version = first.leaseVersion
        try hosts.waitForRenewal(1)
        // The daemon has to take note of it, too.
        pause(milliseconds: 200)
        let asked = monotonicNanoseconds()
        try fault.make(self)
        let begun = began.withLock { $0 } ?? asked
        settle(since: begun)
        let settled = monotonicNanoseconds()
        row.guest = first.condition()
        if fault.other == .nobody {
            if let version, let now = first.leaseVersion { row.versionGrowth = now - version }
        } else if other.leaseNanoseconds == nil, other.refusal == nil {
            try endFirst(&row)
        }
        measure(&row, from: begun, to: settled)
        judge(&row)
        return row
    }

    /// Waits until nothing more can come.
    private func settle(since begun: UInt64) {
        func silence() -> Double { secondsSince(observer.lastWrite(of: 1)?.seenNanoseconds ?? begun) }
        var goesOn = false
        if case .goesOn = fault.expectation { goesOn = true }
        guard let patience = fault.patienceSeconds, !goesOn else {
            pause(milliseconds: 4000)
            return
        }
        _ = try? eventually(within: max(0, patience - secondsSince(begun)), every: 50) {
            // One write may have been on its way all the time: only a guest that runs writes several.
            if fault.other == .nobody {
                let late = observer.writes(of: 1).suffix(5).filter { secondsSince($0.seenNanoseconds) < 0.5 }
                return secondsSince(begun) > 15 && late.count >= 3
            }
            // A little longer than its lease, so that a write that comes late is seen.
            return other.refusal != nil || (other.leaseNanoseconds).map { secondsSince($0) > 3 } ?? false
        }
        // What was on its way may be written now.
        if other.leaseNanoseconds != nil {
            pause(milliseconds: 1500)
            _ = try? eventually(within: 12, every: 50) { silence() > Self.silenceSeconds }
        }
    }

    /// A goes on, or stays paused: it is ended in an orderly way, and the other has to get the lease then.
    private func endFirst(_ row: inout FaultRow) throws {
        // Where it is dead without the other's having the lease, that is told below.
        guard first.guest.running.isRunning else { return }
        let stop = try hosts.first.leasehold("stop", FaultGuest.name, "--timeout", "1s", timeout: 30)
        if !stop.succeeded { row.problems.append("stop: \(stop)") }
        _ = try? eventually(within: 12, every: 20) { other.leaseNanoseconds != nil }
        pause(milliseconds: 1500)
    }

    private func measure(_ row: inout FaultRow, from begun: UInt64, to settled: UInt64) {
        func seconds(_ from: UInt64, _ to: UInt64) -> Double { (Double(to) - Double(from)) / 1e9 }
        let writes = observer.writes(of: 1)
        let lease = other.leaseNanoseconds
        let before = lease.map { lease in writes.filter { $0.afterNanoseconds < lease } } ?? writes
        let after = writes.dropFirst(before.count)
        if let lease, let last = before.last {
            row.leaseAfterSeconds = seconds(begun, lease)
            row.toSpareSeconds = seconds(last.seenNanoseconds, lease)
        }
        if let lease, let first = after.first, let last = after.last {
            row.overlaps = Int(last.number - (before.last?.number ?? first.number - 1))
            row.overlapSeconds = seconds(lease, last.seenNanoseconds)
        }
        // What B found at its start is A's last write, as it has to be.
        row.sightings = other.writer.sightings.count { $0.ownNumber > 0 } + first.writer.sightings.count

        let end = min(settled, lease ?? settled)
        let moments = before.map(\.seenNanoseconds).filter { $0 < end } + [end]
        let silences = zip(moments, moments.dropFirst()).filter { seconds($0, $1) > Self.silenceSeconds && $1 > begun }
        if let silence = silences.first {
            row.stoppedAfterSeconds = max(0, seconds(begun, silence.0))
            if silence.1 < end { row.guest += String(format: ", silent for %.1f s", seconds(silence.0, silence.1)) }
        } else if end < settled, let last = moments.dropLast().last {
            row.stoppedAfterSeconds = max(0, seconds(begun, last))
        }
    }

    private func judge(_ row: inout FaultRow) {
        row.refusal = other.refusal
        if case .knownHole = fault.expectation {
            row.isKnownHole = true
            if row.guest == "running" { row.problems.append("guest A never noticed") }
            if row.overlapSeconds > Self.longestHoleSeconds { row.problems.append("guest A noticed late") }
            return
        }
        if row.overlaps > 0 || row.sightings > 0 {
            let seconds = String(format: "%.2f", row.overlapSeconds)
            row.problems.append(
                "both wrote: \(row.overlaps) writes in \(seconds) s, \(row.sightings) seen by the guests")
        }
        if let spare = row.toSpareSeconds, spare < fault.leastToSpareSeconds {
            row.problems.append("only \(String(format: "%.2f", spare)) s to spare")
        }
        switch fault.expectation {
        case .goesOn:
            // Not by its silences alone: the machine may have been busy.
            let events = first.announced.compactMap { $0["event"]?.string }
            if !row.guest.hasPrefix("running") || events.contains("leaseLost") || events.contains("paused") {
                row.problems.append("guest A is \(row.guest), and had to go on")
            } else {
                row.stoppedAfterSeconds = nil
            }
        case .stops(let limit): judgeStop(&row, limit)
        case .comesBack:
            judgeStop(&row, 50)
            if !row.guest.hasPrefix("running, silent for") { row.problems.append("guest A did not go on") }
            if row.versionGrowth != 1 {
                row.problems.append("the version grew by \(row.versionGrowth.map { "\($0)" } ?? "?")")
            }
        case .either, .knownHole: break
        }
        if row.leaseAfterSeconds == nil, row.refusal == nil, fault.other != .nobody {
            row.problems.append("the other never had the lease: \(other.trouble)")
        }
    }

    private func judgeStop(_ row: inout FaultRow, _ limit: Double) {
        guard let stopped = row.stoppedAfterSeconds else {
            row.problems.append("guest A did not stop")
            return
        }
        if stopped > limit {
            row.problems.append(String(format: "stopped after %.2f s, not %.1f", stopped, limit))
        }
    }
}
