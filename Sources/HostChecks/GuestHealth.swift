import ControlProtocol
import Platform

/// How a guest's leases are, in words: what its supervisor says, and the last events that led there.
public struct GuestHealth: Sendable {
    private let status: WireStatus
    private let events: [WireEvent]
    private let secondsSince1970: Int64

    /// States what is known.
    ///
    /// - Parameters:
    ///   - events: the last ones, in their order.
    ///   - secondsSince1970: now.
    public init(status: WireStatus, events: [WireEvent], secondsSince1970: Int64) {
        self.status = status
        self.events = events
        self.secondsSince1970 = secondsSince1970
    }

    private var hasLost: Bool { status.leases.contains { $0.state == .lost } }

    // The one whose time runs out first.
    private var worst: WireLockspace? {
        status.lockspaces.filter { $0.lastRenewalSeconds != nil }
            .min { ($0.othersMayTakeInSeconds ?? .infinity) < ($1.othersMayTakeInSeconds ?? .infinity) }
    }

    // A renewal comes every two io timeouts, and the daemon gives up after eight.
    private func isLate(_ lockspace: WireLockspace) -> Bool {
        guard let age = lockspace.lastRenewalSeconds, let acts = lockspace.actsInSeconds else { return false }
        return age > (age + acts) / 2 + 1
    }

    private func last(_ name: WireEvent.Name) -> WireEvent? { events.last { $0.event == name.rawValue } }

    private func detail(_ name: String, of event: WireEvent?) -> String? {
        event?.detail.first { $0.name == name }?.value
    }

    // Why it stands still: for good, or until its leases can be had again; nil where it wasn't for its leases.
    private var pause: (isForGood: Bool, cause: String)? {
        guard status.state == .paused, let event = last(.paused) else { return nil }
        switch detail("reason", of: event) {
        case "leaseTaken"?: return (true, detail("cause", of: event) ?? "somebody had a lease in between")
        case "leaseLost"?: return (false, detail("cause", of: last(.leaseLost)) ?? "its leases were lost")
        default: return nil
        }
    }

    // MARK: - For a list

    /// All of it in a few words.
    public var words: String {
        if let pause {
            return pause.isForGood ? "stays paused: a lease was taken elsewhere" : "leases lost, waits for them"
        }
        if hasLost { return "leases lost, \(status.state == .stopping ? "being ended" : status.state.rawValue)" }
        if status.leases.isEmpty { return "-" }
        if status.leases.allSatisfy({ $0.state == .released }) {
            return [.starting, .incoming].contains(status.state) ? "leases not taken yet" : "leases given back"
        }
        guard let worst, let age = worst.lastRenewalSeconds else { return "held" }
        if !isLate(worst) { return "renewed \(whole(age)) s ago" }
        let acts = worst.actsInSeconds.map { ", acts in \(whole($0)) s" } ?? ""
        let others = worst.othersMayTakeInSeconds.map { ", others in \(whole($0)) s" } ?? ""
        return "not renewed for \(whole(age)) s\(acts)\(others)"
    }

    // MARK: - For one guest

    /// All of it, a line each with its heading.
    public var facts: [(String, String)] {
        status.lockspaces.flatMap(lockspaceFacts) + lossFacts
    }

    private func lockspaceFacts(_ lockspace: WireLockspace) -> [(String, String)] {
        let host = lockspace.hostName.map { " (\($0))" } ?? ""
        let name = ("Lockspace", "\(lockspace.name), host id \(lockspace.hostId)\(host)")
        guard let age = lockspace.lastRenewalSeconds else { return [name] }
        var text = "\(whole(age)) s ago"
        if isLate(lockspace) { text += ", which is late: see to the lease storage and the sanlock daemon" }
        var consequences: [String] = []
        let end = status.onLeaseLoss == "pause" ? "paused" : "stopped"
        if let acts = lockspace.actsInSeconds {
            consequences.append(acts > 0 ? "the guest is \(end) in \(whole(acts)) s" : "the guest is to be \(end) now")
        }
        if let others = lockspace.othersMayTakeInSeconds {
            consequences.append(
                others > 0
                    ? "another host may take its leases in \(whole(others)) s" : "another host may take its leases now")
        }
        // Of one that stands still for its leases all has been done.
        guard !consequences.isEmpty, pause == nil else { return [name, ("Last renewal", text)] }
        return [name, ("Last renewal", text), ("Unless renewed", consequences.joined(separator: ", "))]
    }

    private var lossFacts: [(String, String)] {
        if let pause {
            let next =
                pause.isForGood
                ? "its disk may have been changed under it, so it does not go on; leasehold kill ends it"
                : "it goes on by itself once its leases can be had again and nobody had them in between"
            return [("Paused", "since \(status.since): \(pause.cause)"), ("What follows", next)]
        }
        guard hasLost else { return [] }
        let event = last(.leaseLost)
        let time = event.map { " at \($0.time)" } ?? ""
        let cause = detail("cause", of: event).map { ": \($0)" } ?? ""
        let what = status.leases.count { $0.state == .lost } == status.leases.count ? "all" : "some"
        return [("Leases lost", "\(what)\(time)\(cause)")]
            + (status.state == .stopping ? [("What follows", consequence)] : [])
    }

    /// What it leads to that a guest whose leases are lost doesn't die.
    private var consequence: String {
        var text = "the guest is being ended; until nothing of it is left its leases stay this host's"
        if let others = worst?.othersMayTakeInSeconds, others.isFinite {
            let time = rfc3339(secondsSince1970: secondsSince1970 + Int64(min(max(others, 0), 1e9).rounded()))
            text +=
                others > 0 ? " until \(time), then another host may take them" : ", but another host may take them now"
        } else {
            text += " for as long as sanlock renews"
        }
        return status.watchdog
            ? text + "; the watchdog resets this host before that"
            : text
                + "; without a watchdog nobody resets this host: if the guest can't die, cut it off from its disks first"
    }

    private func whole(_ seconds: Double) -> String {
        // A peer's nonsense is no number of seconds.
        seconds.isFinite && abs(seconds) < 1e12 ? String(Int(seconds.rounded())) : "?"
    }
}
