import ControlProtocol
import Glibc
import Platform
import SanlockLeases

/// Whether another host lives under this host's id. Known by watching its slot in the lockspace while this host isn't in
/// it.
struct HostIdFacts: Equatable, Sendable {
    /// Whether the slot was renewed by somebody else.
    var isUsed: Bool?
    /// The name of that host.
    var usedBy: String?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        isUsed = facts.bool("isUsed")
        usedBy = facts.string("usedBy")
        end = facts.end
    }

    /// Watches the slot, for two renewals of whoever has it; says first for how many seconds, where it has to.
    static func collect(_ sight: LeaseDirectorySight, hostId: UInt64?, _ teller: Teller) {
        guard let hostId, let first = sight.slot(of: hostId), first.timestamp != 0 else {
            return teller.tell("isUsed", false)
        }
        // Where no daemon runs, this host has joined nothing.
        if (try? DaemonSight()) != nil, sight.isJoined() { return teller.tell("isUsed", false) }
        let watchSeconds = 2 * first.ioSeconds + 1.5
        teller.tell("watchSeconds", .number(watchSeconds))
        let deadline = Clock.monotonicSeconds() + watchSeconds
        while Clock.monotonicSeconds() < deadline {
            usleep(100_000)
            guard let now = sight.slot(of: hostId), now.timestamp != first.timestamp, now.timestamp != 0 else {
                continue
            }
            // It may be this host's own, which joined since.
            if (try? DaemonSight()) != nil, sight.isJoined() { break }
            if let name = now.name { teller.tell("usedBy", name) }
            return teller.tell("isUsed", true)
        }
        teller.tell("isUsed", false)
    }

    /// The host id as a whole.
    ///
    /// - Parameters:
    ///   - isNeeded: whether leases are automatic.
    ///   - lockspace: what the lockspace's file and the lease files say.
    func check(hostId: UInt64?, isNeeded: Bool, _ lockspace: LockspaceFacts) -> Check {
        guard let hostId else {
            if !isNeeded { return .ok(.hostId, "none is set, and none is needed: leases are not automatic") }
            return .failed(
                .hostId, "host_id is not set",
                advice: "give each host that shares the lease directory a number of its own, from 1 to 2000",
                isOfSettings: true)
        }
        if isUsed == true {
            return .failed(
                .hostId, "host id \(hostId) is used by another host\(usedBy.map { " (\($0.printable))" } ?? "")",
                advice: "give each host a host_id of its own", isOfSettings: false)
        }
        if let leases = lockspace.leases, !leases.tooSmall.isEmpty {
            return .failed(
                .hostId,
                "host id \(hostId) is too large for \(leases.tooSmall.count) of \(leases.seen) lease files: "
                    + leases.tooSmall.few(),
                advice: "leasehold lease grow DISK, on a host whose id fits; or a smaller host_id")
        }
        if let clash = lockspace.clash {
            return .warning(
                .hostId, "host id \(hostId) was also wanted by host \(clash.printable)",
                advice: "give that host a host_id of its own")
        }
        guard isUsed != nil, lockspace.leases != nil else {
            return .notChecked(.hostId, "host id \(hostId); whether another host uses it can't be said now")
        }
        return .ok(.hostId, "host id \(hostId)")
    }
}
