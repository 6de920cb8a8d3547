import ControlProtocol
import Glibc
import Leases
import Platform
import SanlockLeases

/// The sanlock daemon: whether it runs, answers, and leaves guests the time to end.
struct DaemonFacts: Equatable, Sendable {
    /// Why it can't be connected to; nil where it can.
    var unreachable: String?
    /// Its process.
    var pid: Int64?
    /// The user that it uses lease files as.
    var user: String?
    /// Whether it is set to use a watchdog.
    var isToUseWatchdog: Bool?
    /// Whether the watchdog's daemon takes connections.
    var isWatchdogThere: Bool?
    /// How long its clients have to end by themselves, in seconds.
    var graceSeconds: Int64?
    /// How many clients it serves at once, where that was set.
    var workerThreads: Int64?
    /// What it answered.
    var version: String?
    /// What it answered instead.
    var refusal: String?
    /// Whether it was asked about the lockspace and answered.
    var hasToldMembership = false
    /// This host in the lockspace; nil where it hasn't joined.
    var membership: DaemonSight.Membership?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        unreachable = facts.string("unreachable")
        pid = facts.integer("pid")
        user = facts.string("user")
        isToUseWatchdog = facts.bool("isToUseWatchdog")
        isWatchdogThere = facts.bool("isWatchdogThere")
        graceSeconds = facts.integer("graceSeconds")
        workerThreads = facts.integer("workerThreads")
        version = facts.string("version")
        refusal = facts.string("refusal")
        hasToldMembership = facts.bool("hasToldMembership") ?? false
        if let hostId = facts.integer("hostId"), let path = facts.string("path") {
            membership = DaemonSight.Membership(
                hostId: UInt64(clamping: hostId), path: path, ioTimeoutSeconds: facts.number("ioTimeoutSeconds"),
                renewedSeconds: facts.number("renewedSeconds"),
                generation: facts.integer("generation").map { UInt64(clamping: $0) })
        }
        end = facts.end
    }

    /// Collects them, each as soon as it is known.
    static func collect(_ teller: Teller) {
        teller.tell("isWatchdogThere", (try? UnixSocket.connect(to: watchdogSocket)) != nil)
        do throws(SystemError) {
            let daemon = try DaemonSight()
            teller.tell("pid", .integer(Int64(daemon.pid)))
            teller.tell("user", daemon.user.name)
            teller.tell("isToUseWatchdog", daemon.isToUseWatchdog)
            teller.tell("graceSeconds", .integer(Int64(daemon.graceSeconds)))
            if let count = daemon.workerThreads { teller.tell("workerThreads", .integer(Int64(count))) }
        } catch {
            return teller.tell("unreachable", error.message)
        }
        do throws(LeaseFailure) {
            teller.tell("version", try DaemonSight.version())
            if let membership = try DaemonSight.membership() { tell(membership, teller) }
            teller.tell("hasToldMembership", true)
        } catch {
            teller.tell("refusal", error.detail)
        }
    }

    private static let watchdogSocket = "/run/wdmd/wdmd.sock"

    private static func tell(_ membership: DaemonSight.Membership, _ teller: Teller) {
        teller.tell("hostId", .integer(Int64(clamping: membership.hostId)))
        teller.tell("path", membership.path)
        if let seconds = membership.ioTimeoutSeconds { teller.tell("ioTimeoutSeconds", .number(seconds)) }
        if let seconds = membership.renewedSeconds { teller.tell("renewedSeconds", .number(seconds)) }
        if let generation = membership.generation { teller.tell("generation", .integer(Int64(clamping: generation))) }
    }

    // MARK: - Judgements

    /// Whether it answers.
    var daemonCheck: Check {
        if let unreachable {
            return .failed(
                .daemon, "no sanlock daemon can be reached: \(unreachable)",
                advice: "start sanlock, or set SANLOCK_RUN_DIR to the directory of its socket")
        }
        if pid == nil, end == .died { return .notChecked(.daemon, "the look at it ended early", advice: "ask again") }
        guard let pid else {
            return .failed(.daemon, "the sanlock daemon's socket hangs", advice: DaemonFacts.lookAtIt)
        }
        let who = "sanlock\(version.map { " \($0)" } ?? ""), pid \(pid), as user \(user ?? "unknown")"
        if let refusal {
            return .failed(.daemon, "\(who): \(refusal)", advice: "see the sanlock daemon's log")
        }
        guard version != nil, end != .silent || hasToldMembership else {
            return .failed(.daemon, "\(who), takes connections but does not answer", advice: DaemonFacts.lookAtIt)
        }
        return .ok(.daemon, who)
    }

    private static let lookAtIt =
        "see whether it is stopped (state T in ps) or its storage hangs; until it answers no guest starts, and running "
        + "ones may be killed"

    /// Whether something can be said that needs its answers.
    var answers: Bool { daemonCheck.state == .ok }

    /// Whether its own settings leave guests the time to end.
    var limitsCheck: Check {
        guard pid != nil else { return .notChecked(.daemonLimits, "no sanlock daemon answers") }
        let grace = graceSeconds ?? 40
        let workers = workerThreads ?? 8
        let found = "\(grace) s from a lost lockspace to SIGKILL, \(workers) clients served at once"
        if grace < 15 {
            return .warning(
                .daemonLimits, found,
                advice:
                    "with so little time a guest is killed by sanlock, not stopped in order: leave kill_grace_seconds "
                    + "at its 40")
        }
        return .ok(.daemonLimits, found)
    }

    /// Whether a host that hangs is reset.
    var watchdogCheck: Check {
        let missing = "a host that hangs is not reset: it may still write when another host has taken its leases"
        guard let isToUseWatchdog else { return .notChecked(.watchdog, "no sanlock daemon answers") }
        if !isToUseWatchdog {
            return .warning(
                .watchdog, "off: the sanlock daemon is set to use none (-w 0 or use_watchdog = 0); \(missing)",
                advice: "run wdmd with a watchdog device, and let sanlock use it (use_watchdog = 1)")
        }
        guard isWatchdogThere == true else {
            return .warning(
                .watchdog, "off: wdmd does not run; \(missing), and sanlock joins no lockspace",
                advice: "start wdmd; it needs a watchdog device (modprobe softdog, where the machine has none)")
        }
        return .ok(.watchdog, "on: wdmd runs, and the sanlock daemon uses it")
    }
}
