import Foundation
import TestSupport
import Testing

/// The sanlock daemon is gone, in one instant, under guests that write all the time.
///
/// LEASEHOLD_ROUNDS sets how often (2).
@Suite(.serialized) struct VanishedDaemonTests {
    private static let rounds = ProcessInfo.processInfo.environment["LEASEHOLD_ROUNDS"].flatMap { Int($0) } ?? 2

    /// Guests of host 1, each with a disk of its own.
    private struct Writers {
        let hosts: FaultHosts
        let observers: [DiskObserver]
        let guests: [FaultGuest]

        init(_ count: Int, _ policy: LossPolicy, _ hosts: FaultHosts) throws {
            self.hosts = hosts
            let disks = try (0..<count).map { _ in try hosts.scratch.disk("disks/\(UUID().uuidString.prefix(8))") }
            observers = try disks.map { try DiskObserver($0) }
            guests = try zip(disks, observers).enumerated().map { index, pair in
                try FaultGuest(
                    policy, on: hosts, disk: pair.0, observer: pair.1, hertz: 100, name: "a\(index)")
            }
        }

        /// How many seconds after the daemon's end each has written for the last time, as a `FairClock` counts them.
        func lastWrites(since gone: UInt64) throws -> [Double] {
            var clock = FairClock(since: gone)
            while clock.seconds < 1.5 { clock.pause(milliseconds: 5) }
            return try observers.map {
                guard let last = $0.lastWrite(of: 1) else { throw TestFailure("a guest never wrote") }
                return (Double(last.seenNanoseconds) - Double(gone)) / 1e9 - clock.lostSeconds
            }
        }

        func end() { for observer in observers { observer.end() } }
    }

    private func withHosts(_ body: (FaultHosts) throws -> Void) throws {
        let hosts = try FaultHosts(.plain)
        defer { hosts.end() }
        try body(hosts)
    }

    @Test func guestIsDeadWithinASecond() throws {
        try withHosts { hosts in
            for round in 0..<Self.rounds {
                let writers = try Writers(round == 0 ? 2 : 1, .poweroff, hosts)
                defer { writers.end() }
                let killed = hosts.first.daemon.kill()
                if round.isMultiple(of: 2) { try hosts.first.daemon.restart() }
                for (guest, last) in zip(writers.guests, try writers.lastWrites(since: killed)) {
                    #expect(last < 1, "it still wrote after \(last) s")
                    #expect(try guest.guest.running.wait(timeout: 8) == .exit(74))
                    let record = guest.exitRecord
                    #expect(record?["reason"] == "leaseLost" && record?["leasesFree"] == false, "\(record ?? .null)")
                }
                if round + 1 < Self.rounds {
                    if !hosts.first.daemon.isRunning { try hosts.first.daemon.restart() }
                    try hosts.join(1)
                }
            }
        }
    }

    /// Nobody joins the lockspace for it, and nobody else asks for the lease.
    @Test func pausedGuestGoesOnByItselfAfterARestartWithAVersionOneHigher() throws {
        try withPausedGuests { try pausedGuestsGoOn() }
    }

    private func pausedGuestsGoOn() throws {
        try withHosts { hosts in
            let writers = try Writers(2, .pause, hosts)
            defer { writers.end() }
            for _ in 0..<Self.rounds {
                let before = try writers.guests.map { try $0.leaseVersions() }
                let killed = hosts.first.daemon.kill()
                for last in try writers.lastWrites(since: killed) {
                    #expect(last < 1, "it still wrote after \(last) s")
                }
                for guest in writers.guests {
                    try guest.guest.running.waitUntilPaused(within: 15) { guest.status?["state"] == "paused" }
                }
                let restarted = monotonicNanoseconds()
                try hosts.first.daemon.restart()
                for (guest, observer) in zip(writers.guests, writers.observers) {
                    try eventually(within: 30, every: 20, "\(guest.guest.name) writing again: \(guest.condition())") {
                        (observer.lastWrite(of: 1)?.seenNanoseconds ?? 0) > restarted
                    }
                }
                for (guest, versions) in zip(writers.guests, before) {
                    try eventually(within: 5, every: 20) { guest.status?["state"] == "running" }
                    let after = try guest.leaseVersions()
                    #expect(after.status == versions.status + 1 && after.daemon == versions.daemon + 1)
                    #expect(after.status == Int(after.daemon))
                    let events = guest.announced.compactMap { $0["event"]?.string }
                    #expect(events.suffix(3) == ["leaseLost", "paused", "resumed"], "\(events)")
                }
            }
        }
    }
}

extension FaultGuest {
    /// The version of its only lease, as its status tells and as the daemon does.
    fileprivate func leaseVersions() throws -> (status: Int, daemon: UInt64) {
        let held = try guest.leases()
        guard let status = leaseVersion, held.count == 1, let daemon = held[0].version else {
            throw TestFailure("\(guest.name) has no lease of one version: \(self.status ?? .null), \(held)")
        }
        return (status, daemon)
    }
}
