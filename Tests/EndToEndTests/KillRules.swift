import Foundation
import TestSupport

/// An exit record, as far as it can be foretold.
struct KillRecord: Equatable, CustomStringConvertible {
    let reason: String
    /// How the guest ended.
    let end: Status
    /// Whether the record may say, and says, that the leases are free.
    let leasesFree: Bool

    var description: String { "\(reason), \(end), leases \(leasesFree ? "free" : "not known to be free")" }

    init(_ reason: String, _ end: Status, leasesFree: Bool) {
        self.reason = reason
        self.end = end
        self.leasesFree = leasesFree
    }

    init(_ json: JSONValue) throws {
        let code = json["code"]?.integer.map { Status.exit(Int32(clamping: $0)) }
        let signal = json["signal"]?.integer.map { Status.signal(Int32(clamping: $0)) }
        guard let reason = json["reason"]?.string, let end = code ?? signal, let free = json["leasesFree"]?.bool else {
            throw TestFailure("no exit record: \(json)")
        }
        self.init(reason, end, leasesFree: free)
    }
}

/// How a supervisor may end, and what is on record then; nil where the guest never ran.
struct KillEnding: Equatable, CustomStringConvertible {
    let status: Status
    let record: KillRecord?

    var description: String { "\(status) with \(record.map { "record \($0)" } ?? "no record")" }
}

/// What has to become of guest, supervisor and record: computed from the cell by what `docs/promises.md` and the exit
/// codes say, not written down cell by cell.
struct KillRules {
    let cell: KillCell

    /// What becomes of the guest's processes.
    enum Fate: Equatable {
        /// All go on, and so does the supervisor.
        case goesOn
        /// All die within a second, or there never are any.
        case dies
        /// Supervisor and keeper are gone in one instant: the first process dies, what it forked may live on with the
        /// lease until the next `list`.
        case mayOutlive
    }

    private var blow: KillBlow { cell.blow }
    private var signal: Int32 { blow.signal }
    private var hasGuest: Bool { cell.phase != .acquiring }
    private func hits(_ victim: KillVictim) -> Bool { cell.victims.contains(victim) }

    private var supervisorDies: Bool { hits(.supervisor) && blow.isFatal }
    // It has every signal blocked.
    private var keeperDies: Bool { hits(.keeper) && blow.isFatal }
    private var losesLeases: Bool { cell.endsDaemon }
    /// Whether the supervisor is asked to end the guest. It stops it by SIGTERM, and passes the others on; but a guest that
    /// is paused is killed, since an emulator that ends in good order writes to its disks.
    private var isAsked: Bool {
        hits(.supervisor) && !supervisorDies && (cell.phase == .paused || blow == .term && cell.phase != .stopping)
    }

    /// How the signal ends the guest, sent to it or passed on; nil where it doesn't reach it or is ignored.
    private var guestEnd: Status? {
        guard hasGuest, hits(.guest) || hits(.supervisor) && !supervisorDies else { return nil }
        switch (cell.phase, blow) {
        case (.stopping, let blow) where !(blow == .kill || blow == .stopThenKill): return nil
        case (.paused, _) where !hits(.guest): return .signal(SIGKILL)
        // A QEMU ends by these in good order.
        case (.paused, .term), (.paused, .interrupt), (.paused, .hangUp): return .exit(0)
        default: return .signal(signal)
        }
    }

    var fate: Fate {
        if supervisorDies && keeperDies { return cell.phase == .spawning ? .dies : .mayOutlive }
        if supervisorDies || keeperDies || losesLeases || guestEnd != nil { return .dies }
        return hits(.supervisor) && !hasGuest ? .dies : .goesOn
    }

    /// How long what has to die may live on, in seconds (`docs/promises.md`, 3 and 4). An emulator that is asked itself ends
    /// when it has closed its disks: that is nobody's promise.
    var mostSeconds: Double {
        let endsByItself = cell.phase == .paused && cell.victims.isDisjoint(with: [.supervisor]) && !keeperDies
        return endsByItself && guestEnd == .exit(0) ? 8 : 1
    }

    /// Whether it is the next `list` that writes the record.
    var isRecordedByList: Bool { supervisorDies }

    /// Every way to end that is right: where two victims are hit, either may have been the first to be noticed.
    var endings: [KillEnding] {
        if fate == .goesOn { return [] }
        if supervisorDies {
            // Nobody is left who could know of the leases.
            let record = KillRecord("supervisorFailed", .signal(SIGKILL), leasesFree: false)
            return [KillEnding(status: .signal(signal), record: cell.phase.ranGuest ? record : nil)]
        }
        guard hasGuest else { return endingsBeforeTheGuest }
        return endingsOfGuest.map { KillEnding(status: $0.status, record: cell.phase.ranGuest ? $0.record : nil) }
    }

    private var endingsBeforeTheGuest: [KillEnding] {
        (hits(.supervisor) ? [KillEnding(status: .signal(signal), record: nil)] : [])
            + (losesLeases ? [KillEnding(status: .exit(69), record: nil)] : [])
    }

    private var endingsOfGuest: [KillEnding] {
        // Leases that went with their daemon were not given back.
        let areFree = !losesLeases && cell.phase != .paused
        var endings: [KillEnding] = []
        func add(_ status: Status, _ reason: String, _ end: Status) {
            endings.append(KillEnding(status: status, record: KillRecord(reason, end, leasesFree: areFree)))
        }
        let killed = Status.signal(SIGKILL)
        if let end = guestEnd {
            if isAsked || cell.phase == .stopping { add(end, "stopped", end) }
            if isAsked && cell.phase == .paused { add(killed, "stopped", killed) }
            if cell.phase != .stopping, !isAsked || hits(.guest) { add(end, "exited", end) }
        }
        if keeperDies {
            cell.phase == .stopping ? add(killed, "stopped", killed) : add(.exit(125), "keeperDied", killed)
        }
        if losesLeases {
            // Before the guest ran, this is a start that failed.
            let status = Status.exit(cell.phase.ranGuest ? 74 : 69)
            add(status, "leaseLost", killed)
            if let guestEnd, guestEnd != killed { add(status, "leaseLost", guestEnd) }
        }
        return endings
    }
}

extension KillPhase {
    /// Whether the guest's first instruction has run.
    var ranGuest: Bool { self != .acquiring && self != .spawning }
}
