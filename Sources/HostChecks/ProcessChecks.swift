import ControlProtocol
import Glibc
import Platform

/// What processes of ours may do on this host.
struct MemoryLockFacts: Equatable, Sendable {
    /// Whether all of a process's memory can be kept from being paged out.
    var canLock: Bool?
    /// The limit on that in bytes; nil: none.
    var limitBytes: Int64?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        canLock = facts.bool("canLock")
        limitBytes = facts.integer("limitBytes")
        end = facts.end
    }

    /// Locks its own memory, so in a process of its own.
    static func collect(_ teller: Teller) {
        if let bytes = OwnProcess.lockableBytes { teller.tell("limitBytes", .integer(bytes)) }
        teller.tell("canLock", OwnProcess.stayInMemory())
    }

    /// Whether supervisors stay in memory.
    var check: Check {
        guard let canLock else { return .notChecked(.memoryLock, "it can't be tried") }
        let limit = limitBytes.map { "the limit (RLIMIT_MEMLOCK) is \($0 >> 10) KiB" } ?? "there is no limit"
        if canLock { return .ok(.memoryLock, "supervisors can stay in memory") }
        return .warning(
            .memoryLock, "supervisors can't keep their memory from being paged out: \(limit)",
            advice: "on a host short of memory a supervisor may act too late: raise the limit (LimitMEMLOCK=infinity, "
                + "ulimit -l unlimited), or give CAP_IPC_LOCK")
    }
}

/// The clock on the wall. Leases don't go by it; records, logs and exit records do.
struct ClockFacts: Equatable, Sendable {
    /// Seconds since 1970.
    var seconds: Int64
    /// Whether something keeps it right; nil where the kernel doesn't say.
    var isKept: Bool?

    /// The year 2026: before it nobody ran this.
    private static let earliestSeconds: Int64 = 1_767_225_600

    static func collect() -> ClockFacts { ClockFacts(seconds: Clock.wallTime().seconds, isKept: Clock.isKept) }

    /// Whether it can be believed.
    var check: Check {
        let time = rfc3339(secondsSince1970: seconds)
        if seconds < ClockFacts.earliestSeconds {
            return .warning(
                .clock, "it shows \(time), which is in the past",
                advice: "set it, and run a time service: records and logs are wrong, leases are not")
        }
        if isKept == false {
            return .warning(
                .clock, "it shows \(time), and nothing keeps it right as far as the kernel knows",
                advice: "run a time service (chrony, systemd-timesyncd): leases don't go by it, but records of several "
                    + "hosts can't be compared")
        }
        return .ok(.clock, isKept == nil ? "it shows \(time)" : "it shows \(time), and is kept right")
    }
}
