import ControlProtocol
import Leases
import Platform
import SanlockLeases

/// The lockspace's file and the lease files, as they can be read here.
struct LockspaceFacts: Equatable, Sendable {
    /// What the lockspace's file is worth; nil where it isn't known.
    var file: LeaseDirectorySight.Lockspace?
    /// Why something can't be read.
    var unreadable: String?
    /// What stands in this host's slot.
    var slotTimestamp: Int64?
    /// The io timeout that stands there, in seconds.
    var slotIoSeconds: Double?
    /// Which joining of this host's id stands there.
    var slotGeneration: Int64?
    /// The note of another host that wanted this host's id.
    var clash: String?
    /// The lease files; nil where they weren't looked at.
    var leases: LeaseDirectorySight.Leases?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        switch facts.string("file") {
        case "missing"?: file = .missing
        case "unmade"?: file = .unmade
        case "whole"?: file = .whole
        case let words?: file = .damaged(words)
        case nil: file = nil
        }
        unreadable = facts.string("unreadable")
        slotTimestamp = facts.integer("slotTimestamp")
        slotGeneration = facts.integer("slotGeneration")
        slotIoSeconds = facts.number("slotIoSeconds")
        clash = facts.string("clash")
        if let count = facts.integer("leases"), let seen = facts.integer("seen") {
            var leases = LeaseDirectorySight.Leases()
            leases.count = Int(clamping: count)
            leases.seen = Int(clamping: seen)
            leases.faults = facts.strings("faults") ?? []
            leases.tooSmall = facts.strings("tooSmall") ?? []
            self.leases = leases
        }
        end = facts.end
    }

    /// Collects them, each as soon as it is known.
    static func collect(_ sight: LeaseDirectorySight, hostId: UInt64?, _ teller: Teller) {
        do throws(SystemError) {
            switch try sight.lockspace() {
            case .missing: teller.tell("file", "missing")
            case .unmade: teller.tell("file", "unmade")
            case .damaged(let words): teller.tell("file", words)
            case .whole: teller.tell("file", "whole")
            }
        } catch {
            teller.tell("unreadable", error.message)
        }
        collectSlot(sight, hostId: hostId, teller)
        if let clash = sight.clash() { teller.tell("clash", "\(clash.hostName), at \(clash.time)") }
        guard let leases = try? sight.leases(within: 2) else { return }
        teller.tell("faults", leases.faults)
        teller.tell("tooSmall", leases.tooSmall)
        teller.tell("seen", .integer(Int64(leases.seen)))
        teller.tell("leases", .integer(Int64(leases.count)))
    }

    /// Of all that, this host's slot alone.
    static func collectSlot(_ sight: LeaseDirectorySight, hostId: UInt64?, _ teller: Teller) {
        if let slot = hostId.flatMap(sight.slot(of:)) {
            teller.tell("slotIoSeconds", .number(slot.ioSeconds))
            teller.tell("slotTimestamp", .integer(Int64(clamping: slot.timestamp)))
            teller.tell("slotGeneration", .integer(Int64(clamping: slot.generation)))
        }
    }

    // MARK: - Judgements

    /// The lockspace's file.
    ///
    /// - Parameter isJoined: whether the daemon has joined the lockspace; nil where it doesn't say.
    func fileCheck(_ path: String, isJoined: Bool?) -> Check {
        guard let file else {
            if let unreadable {
                return .failed(
                    .lockspaceFile, "\(unreadable)", advice: "see that this user may read the lease directory")
            }
            return .notChecked(.lockspaceFile, "the lease directory can't be looked at")
        }
        let count = leases?.count ?? 0
        let restore = "restore it; or, once no host runs a guest of this directory: leasehold lockspace init"
        switch file {
        case .whole: return .ok(.lockspaceFile, path)
        case .damaged(let words): return .failed(.lockspaceFile, "\(path) \(words)", advice: restore)
        case .missing, .unmade:
            let what = "\(path) is \(file == .missing ? "missing" : "not formatted")"
            if isJoined == true {
                return .failed(
                    .lockspaceFile, "\(what), though the sanlock daemon has joined it",
                    advice: "restore it; or stop this host's guests, leasehold lockspace leave, and start again")
            }
            if count > 0 {
                return .failed(
                    .lockspaceFile,
                    "\(what), though \(count.of("lease")) made for it \(count == 1 ? "is" : "are") there",
                    advice: restore)
            }
            return .warning(
                .lockspaceFile, what,
                advice: "the first start makes it, or leasehold lockspace init; is the shared storage mounted?")
        }
    }

    /// The lease files.
    var leaseFilesCheck: Check {
        guard let leases else { return .notChecked(.leaseFiles, "the lease directory can't be looked at") }
        let looked =
            leases.seen < leases.count
            ? "the first \(leases.seen) of \(leases.count.of("lease"))" : leases.count.of("lease")
        guard !leases.faults.isEmpty else { return .ok(.leaseFiles, looked) }
        return .warning(
            .leaseFiles, "\(leases.faults.count) of \(looked) can't be used: \(leases.faults.few())",
            advice: "their disks can't be used: find out what happened, then leasehold lease repair DISK")
    }

    /// Whether the daemon is in the lockspace and renews.
    ///
    /// - Parameters:
    ///   - path: the file that the settings name.
    ///   - now: seconds of CLOCK_MONOTONIC when the daemon was asked.
    func membershipCheck(_ daemon: DaemonFacts, hostId: UInt64?, path: String, now: Double) -> Check {
        guard daemon.answers else { return .notChecked(.lockspace, "no sanlock daemon answers") }
        guard let joined = daemon.membership else {
            return .warning(
                .lockspace, "not joined",
                advice: "the next start joins it, which takes some seconds; or leasehold lockspace join")
        }
        guard joined.hostId == hostId, joined.path == path else {
            let own = hostId.map { "host id \($0) of" } ?? "no host id of"
            return .failed(
                .lockspace,
                "joined as host id \(joined.hostId) of \(joined.path), but the configuration says \(own) \(path)",
                advice:
                    "stop this host's guests and leave the lockspace (sanlock client rem_lockspace), or set host_id "
                    + "and disk_lease_dir as joined")
        }
        let away = "joined as host id \(joined.hostId), but in a file that is not at \(path) any more"
        let isRead = file != nil && unreadable == nil && hasReadSlot
        if isRead, !isInPlace(joined) {
            return .failed(
                .lockspace, away,
                advice: "other hosts can't see that this one lives: stop its guests, leasehold lockspace leave, start "
                    + "again")
        }
        let io = joined.ioTimeoutSeconds ?? slotIoSeconds ?? 10
        guard let age = renewalAgeSeconds(of: joined, ioTimeoutSeconds: io, now: now) else {
            return .ok(.lockspace, "joined as host id \(joined.hostId) a moment ago, not renewed yet")
        }
        return renewalCheck(joined, age: age, io)
    }

    /// How long ago this host renewed last; nil where it can't be told.
    ///
    /// This host's slot has the last renewal. Where it can't be read, the daemon tells of the one before.
    ///
    /// - Parameter now: seconds of CLOCK_MONOTONIC when the daemon was asked.
    func renewalAgeSeconds(of joined: DaemonSight.Membership, ioTimeoutSeconds io: Double, now: Double) -> Double? {
        if let slotTimestamp, slotTimestamp != 0, isOwnSlot(joined) { return max(0, now - Double(slotTimestamp)) }
        let known = LockspaceState(
            name: LeaseDirectorySight.lockspaceName, hostId: joined.hostId, hostName: nil, ioTimeoutSeconds: io,
            shownRenewalSeconds: joined.renewedSeconds)
        return known.renewalAgeSeconds(now: now)
    }

    private func renewalCheck(_ joined: DaemonSight.Membership, age: Double, _ io: Double) -> Check {
        let found = "joined as host id \(joined.hostId), renewed \(age.secondsText) ago (io timeout \(Int(io)) s)"
        let look = "look at the storage of the lease directory, and at the sanlock daemon's log"
        if age >= 8 * io {
            return .failed(.lockspace, "\(found): given up, and guests are ended", advice: look)
        }
        // Renewals come every two io timeouts and may take one.
        if age > 4 * io + 1 {
            return .warning(
                .lockspace, "\(found): renewals fail, and guests are ended in \((8 * io - age).secondsText)",
                advice: look)
        }
        return .ok(.lockspace, found)
    }

    private var hasReadSlot: Bool { end == .complete || slotTimestamp != nil }

    // What the daemon knows of its own slot it has read there.
    private func isInPlace(_ joined: DaemonSight.Membership) -> Bool {
        file == .whole && slotTimestamp != 0 && isOwnSlot(joined)
    }

    private func isOwnSlot(_ joined: DaemonSight.Membership) -> Bool {
        guard let slotTimestamp, let slotGeneration else { return false }
        if let generation = joined.generation, generation != 0, Int64(clamping: generation) != slotGeneration {
            return false
        }
        return Double(slotTimestamp) >= (joined.renewedSeconds ?? 0) - 1
    }
}
