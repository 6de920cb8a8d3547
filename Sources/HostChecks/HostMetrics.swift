import ControlProtocol
import GuestDirectory
import Platform
import SanlockLeases

/// What there is to count and measure on this host.
public struct HostMetrics: Sendable {
    /// A guest.
    public struct Guest: Sendable {
        /// What its supervisor says, or last wrote down.
        public var status: WireStatus
        /// Whether its supervisor answered.
        public var answers: Bool
        /// When its supervisor was started, in seconds since 1970; nil where it isn't known.
        public var startSeconds: Double?

        /// How many events there have been; nil where it isn't known.
        public var events: Int?

        /// States all of it.
        public init(status: WireStatus, answers: Bool, startSeconds: Double?, events: Int?) {
            self.status = status
            self.answers = answers
            self.startSeconds = startSeconds
            self.events = events
        }
    }

    /// A lockspace that this host is in.
    struct Lockspace: Sendable {
        var name: String
        var hostId: Int
        var ioTimeoutSeconds: Double?
        var lastRenewalSeconds: Double?
        var actsInSeconds: Double?
        var othersMayTakeInSeconds: Double?
    }

    /// The program's version.
    public var version: String
    /// The guests of this host.
    public var guests: [Guest]
    /// Guests whose supervisor lives, but of which nothing can be read.
    public var unreadable = 0
    /// The last exit of each guest that has ended here.
    public var exits: [WireExit]
    /// How many killed supervisors left something; nil where that can't be told now.
    public var leftovers: Int?
    var daemonAnswers: Bool?
    var isWatchdogOn: Bool?
    var isJoined: Bool?
    var own: Lockspace?

    /// States what is known without asking the sanlock daemon.
    public init(version: String, guests: [Guest], exits: [WireExit], leftovers: Int?) {
        self.version = version
        self.guests = guests
        self.exits = exits
        self.leftovers = leftovers
    }

    /// How long daemon and storage may take, in seconds.
    public static let patienceSeconds = 3.0

    /// Asks the daemon, and reads this host's slot of the lockspace. In a process of one thread.
    public mutating func lookAtHost(settings: SanlockSettings) {
        let sight = LeaseDirectorySight(settings: settings)
        let daemonJob = ExaminationJob("the sanlock daemon", DaemonFacts.collect)
        let slotJob = ExaminationJob("the lockspace") { LockspaceFacts.collectSlot(sight, hostId: settings.hostId, $0) }
        let now = Clock.monotonicSeconds()
        ExaminationJob.wait(for: [daemonJob, slotJob], patienceSeconds: HostMetrics.patienceSeconds) { _, _ in }
        take(DaemonFacts(daemonJob.facts), LockspaceFacts(slotJob.facts), now: now)
    }

    /// Takes what was found.
    ///
    /// - Parameter now: seconds of CLOCK_MONOTONIC when the daemon was asked.
    mutating func take(_ daemon: DaemonFacts, _ slot: LockspaceFacts, now: Double) {
        daemonAnswers = daemon.answers
        isWatchdogOn = daemon.isToUseWatchdog.map { $0 && daemon.isWatchdogThere == true }
        guard daemon.hasToldMembership else { return }
        isJoined = daemon.membership != nil
        guard let membership = daemon.membership else { return }
        let io = membership.ioTimeoutSeconds ?? slot.slotIoSeconds
        var lockspace = Lockspace(
            name: LeaseDirectorySight.lockspaceName, hostId: Int(clamping: membership.hostId), ioTimeoutSeconds: io)
        if let io, let age = slot.renewalAgeSeconds(of: membership, ioTimeoutSeconds: io, now: now) {
            lockspace.lastRenewalSeconds = age
            lockspace.actsInSeconds = max(0, 8 * io - age)
            lockspace.othersMayTakeInSeconds = max(0, 8 * io + 60 - age)
        }
        own = lockspace
    }

    // The automatic one as this process sees it; of others what the guests in them say, the worst of it.
    private var lockspaces: [Lockspace] {
        var all = own.map { [$0] } ?? []
        for said in guests.filter(\.answers).flatMap(\.status.lockspaces) {
            let found = Lockspace(
                name: said.name, hostId: said.hostId, lastRenewalSeconds: said.lastRenewalSeconds,
                actsInSeconds: said.actsInSeconds, othersMayTakeInSeconds: said.othersMayTakeInSeconds)
            guard let index = all.firstIndex(where: { $0.name.hasSameBytes(as: said.name) }) else {
                all.append(found)
                continue
            }
            if all[index].name == own?.name { continue }
            if (found.lastRenewalSeconds ?? 0) > (all[index].lastRenewalSeconds ?? 0) { all[index] = found }
        }
        return all
    }
}

// MARK: - As text

extension HostMetrics {
    /// All of it.
    public var all: OpenMetrics {
        var metrics = OpenMetrics()
        metrics.add(
            "leasehold_build_info", .gauge, help: "The version of Leasehold.", [([("version", version)], 1)])
        addHost(to: &metrics)
        addGuests(to: &metrics)
        addLeases(to: &metrics)
        addLockspaces(to: &metrics)
        return metrics
    }

    private func one(_ value: Bool?) -> [(labels: [OpenMetrics.Label], value: Double)] {
        value.map { [([], $0 ? 1 : 0)] } ?? []
    }

    private func addHost(to metrics: inout OpenMetrics) {
        metrics.add(
            "leasehold_sanlock_daemon_up", .gauge, help: "Whether the sanlock daemon of this host answers.",
            one(daemonAnswers))
        metrics.add(
            "leasehold_watchdog_on", .gauge, help: "Whether a watchdog resets this host where it hangs.",
            one(isWatchdogOn))
        metrics.add(
            "leasehold_guests", .gauge, help: "Guests with a supervisor.", [([], Double(guests.count + unreadable))])
        let silent = guests.filter { !$0.answers }.count + unreadable
        metrics.add(
            "leasehold_silent_guests", .gauge, help: "Guests whose supervisor does not answer.", [([], Double(silent))])
        metrics.add(
            "leasehold_leftovers", .gauge, help: "Killed supervisors whose guest or files are left.",
            leftovers.map { [([], Double($0))] } ?? [])
        metrics.add(
            "leasehold_exit_records", .gauge, help: "Guests by how they last ended on this host.",
            WireExit.Reason.allCases.map { reason in
                ([("reason", reason.rawValue)], Double(exits.count { $0.reason == reason }))
            })
        metrics.add(
            "leasehold_last_exit_time_seconds", .gauge, unit: "seconds",
            help: "When a guest last ended on this host, in seconds since 1970.",
            exits.compactMap { exit in
                guard let time = Timestamp(rfc3339: exit.time) else { return nil }
                let labels = [("guest", exit.name), ("uuid", exit.uuid), ("reason", exit.reason.rawValue)]
                return (labels, Double(time.secondsSince1970))
            })
    }

    private func addGuests(to metrics: inout OpenMetrics) {
        metrics.add(
            "leasehold_guest_info", .gauge, help: "A guest: who it is, and what happens when its leases are lost.",
            guests.map { guest in
                let status = guest.status
                return (
                    [
                        ("guest", status.name), ("uuid", status.uuid), ("state", status.state.rawValue),
                        ("on_lease_loss", status.onLeaseLoss), ("driver", status.driver),
                    ], 1
                )
            })
        metrics.add(
            "leasehold_guest_state", .gauge, help: "Whether a guest is in a state.",
            guests.flatMap { guest in
                WireStatus.State.allCases.map { state in
                    ([("guest", guest.status.name), ("state", state.rawValue)], guest.status.state == state ? 1 : 0)
                }
            })
        metrics.add(
            "leasehold_guest_answers", .gauge, help: "Whether a guest's supervisor answers.",
            guests.map { ([("guest", $0.status.name)], $0.answers ? 1 : 0) })
        metrics.add(
            "leasehold_supervisor_start_time_seconds", .gauge, unit: "seconds",
            help: "When a guest's supervisor was started, in seconds since 1970.",
            guests.compactMap { guest in guest.startSeconds.map { ([("guest", guest.status.name)], $0) } })
        metrics.add(
            "leasehold_guest_events", .counter, help: "What has happened to a guest: its events so far.",
            guests.compactMap { guest in guest.events.map { ([("guest", guest.status.name)], Double($0)) } })
        metrics.add(
            "leasehold_guest_leases", .gauge, help: "A guest's leases by their state.",
            guests.flatMap { guest in
                WireLease.State.allCases.map { state in
                    (
                        [("guest", guest.status.name), ("state", state.rawValue)],
                        Double(guest.status.leases.count { $0.state == state })
                    )
                }
            })
    }

    private func addLeases(to metrics: inout OpenMetrics) {
        let leases = guests.flatMap { guest in guest.status.leases.map { (guest.status.name, $0) } }
        func labels(_ guest: String, _ lease: WireLease) -> [OpenMetrics.Label] {
            [
                ("guest", guest), ("disk", lease.disk ?? ""), ("lockspace", lease.lockspace),
                ("resource", lease.resource), ("mode", lease.mode.rawValue),
            ]
        }
        metrics.add(
            "leasehold_lease_state", .gauge, help: "Whether a guest's lease is in a state.",
            leases.flatMap { guest, lease in
                WireLease.State.allCases.map { state in
                    (labels(guest, lease) + [("state", state.rawValue)], lease.state == state ? 1 : 0)
                }
            })
        metrics.add(
            "leasehold_lease_version", .gauge, help: "How often an exclusive lease has been taken, on any host.",
            leases.compactMap { guest, lease in lease.version.map { (labels(guest, lease), Double($0)) } })
    }

    private func addLockspaces(to metrics: inout OpenMetrics) {
        metrics.add(
            "leasehold_lockspace_joined", .gauge,
            help: "Whether this host has joined the lockspace of automatic leases.",
            isJoined.map { [([("lockspace", LeaseDirectorySight.lockspaceName)], $0 ? 1 : 0)] } ?? [])
        let all = lockspaces
        func add(_ name: String, help: String, _ value: (Lockspace) -> Double?) {
            metrics.add(
                "leasehold_lockspace_\(name)_seconds", .gauge, unit: "seconds", help: help,
                all.compactMap { lockspace in
                    value(lockspace).map {
                        ([("lockspace", lockspace.name), ("host_id", String(lockspace.hostId))], $0)
                    }
                })
        }
        add("io_timeout", help: "sanlock's io timeout.", \.ioTimeoutSeconds)
        add("last_renewal_age", help: "How long ago this host last renewed its claim.", \.lastRenewalSeconds)
        add(
            "acts_in", help: "In how many seconds this host's guests are stopped, unless a renewal succeeds.",
            \.actsInSeconds)
        add(
            "others_may_take_in",
            help: "In how many seconds other hosts may take this host's leases, unless a renewal succeeds.",
            \.othersMayTakeInSeconds)
    }
}
