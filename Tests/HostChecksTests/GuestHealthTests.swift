import ControlProtocol
import Testing

@testable import HostChecks

/// How a guest's leases are, in words.
@Suite struct GuestHealthTests {
    private func status(
        _ state: WireStatus.State = .running, lease: WireLease.State? = .held, policy: String = "poweroff",
        watchdog: Bool = false, in lockspaces: [WireLockspace]
    ) -> WireStatus {
        let leases = lease.map {
            [
                WireLease(
                    disk: "/d", mode: .exclusive, lockspace: "L", resource: "R", path: "/l/R", offset: 0, version: 3,
                    state: $0)
            ]
        }
        return WireStatus(
            name: "g", uuid: "u", supervisorPid: 1, state: state, since: "2026-11-22T10:00:00Z", command: [],
            driver: "sanlock", onLeaseLoss: policy, watchdog: watchdog, leases: leases ?? [], lockspaces: lockspaces)
    }

    // At an io timeout of 10.
    private func lockspace(_ name: String = "L", age: Double?) -> WireLockspace {
        WireLockspace(
            name: name, hostId: 1, hostName: "node1", lastRenewalSeconds: age,
            actsInSeconds: age.map { max(0, 80 - $0) }, othersMayTakeInSeconds: age.map { max(0, 140 - $0) })
    }

    private func health(_ status: WireStatus, _ events: [WireEvent] = []) -> GuestHealth {
        GuestHealth(status: status, events: events, secondsSince1970: 1_795_341_600)
    }

    private func event(_ name: WireEvent.Name, _ detail: [(String, String)]) -> WireEvent {
        WireEvent(
            sequence: 1, time: "2026-11-22T11:00:00Z", event: name, detail: detail.map { WireEvent.Detail($0, $1) })
    }

    private func fact(_ health: GuestHealth, _ name: String) -> String? { health.facts.first { $0.0 == name }?.1 }

    @Test func renewalsThatComeAreAnAgeAndLateOnesAreACountdown() {
        #expect(health(status(in: [lockspace(age: 19)])).words == "renewed 19 s ago")
        #expect(health(status(in: [lockspace(age: 41)])).words == "renewed 41 s ago")
        #expect(health(status(in: [lockspace(age: 42)])).words == "not renewed for 42 s, acts in 38 s, others in 98 s")
        // Of several, the one whose time runs out first.
        let both = health(status(in: [lockspace(age: 3), lockspace("M", age: 60)]))
        #expect(both.words.hasPrefix("not renewed for 60 s"))
        #expect(both.facts.filter { $0.0 == "Lockspace" }.count == 2)
        #expect(health(status(in: [lockspace(age: nil)])).words == "held")
        #expect(health(status(lease: nil, in: [])).words == "-")
    }

    @Test func oneGuestIsToldWhatFollowsUnlessItIsRenewed() {
        let good = health(status(in: [lockspace(age: 10)]))
        #expect(fact(good, "Last renewal") == "10 s ago")
        #expect(
            fact(good, "Unless renewed") == "the guest is stopped in 70 s, another host may take its leases in 130 s")
        let pausing = health(status(policy: "pause", in: [lockspace(age: 90)]))
        #expect(fact(pausing, "Unless renewed")?.hasPrefix("the guest is to be paused now") == true)
        #expect(fact(pausing, "Last renewal")?.contains("late") == true)
        #expect(fact(health(status(in: [lockspace(age: 200)])), "Unless renewed")?.hasSuffix("its leases now") == true)
        #expect(fact(health(status(in: [lockspace(age: nil)])), "Last renewal") == nil)
    }

    @Test func whyAGuestStandsStillIsItsLastPausedEvent() {
        let lost = event(.leaseLost, [("cause", "the daemon is gone")])
        let waiting = health(
            status(.paused, lease: .released, policy: "pause", in: []),
            [lost, event(.paused, [("reason", "leaseLost")])])
        #expect(waiting.words == "leases lost, waits for them")
        #expect(fact(waiting, "Paused") == "since 2026-11-22T10:00:00Z: the daemon is gone")
        #expect(fact(waiting, "What follows")?.contains("goes on by itself") == true)
        let staying = health(
            status(.paused, lease: .released, policy: "pause", in: []),
            [lost, event(.paused, [("reason", "leaseTaken"), ("cause", "version 9")])])
        #expect(staying.words.hasPrefix("stays paused") && fact(staying, "Paused")?.hasSuffix("version 9") == true)
        #expect(fact(staying, "What follows")?.contains("leasehold kill") == true)
        // One that a person paused isn't about leases; one that goes on isn't paused.
        let person = health(status(.paused, in: [lockspace(age: 1)]), [event(.paused, [])])
        #expect(person.words == "renewed 1 s ago" && fact(person, "Paused") == nil)
        #expect(fact(health(status(in: []), [event(.paused, [("reason", "leaseLost")])]), "Paused") == nil)
    }

    @Test func whatAGuestThatCannotDieLeadsToDependsOnTheWatchdog() {
        let lost = [event(.leaseLost, [("cause", "storage is gone")])]
        let bare = health(status(.stopping, lease: .lost, in: [lockspace(age: 100)]), lost)
        #expect(bare.words == "leases lost, being ended")
        #expect(fact(bare, "Leases lost") == "all at 2026-11-22T11:00:00Z: storage is gone")
        let follows = fact(bare, "What follows") ?? ""
        #expect(follows.contains("until 2026-11-22T10:00:40.000Z, then another host may take them"), "\(follows)")
        #expect(follows.contains("without a watchdog nobody resets this host"))
        let guarded = health(status(.stopping, lease: .lost, watchdog: true, in: [lockspace(age: 100)]), lost)
        #expect(fact(guarded, "What follows")?.hasSuffix("the watchdog resets this host before that") == true)
        let late = health(status(.stopping, lease: .lost, in: [lockspace(age: 141)]), lost)
        #expect(fact(late, "What follows")?.contains("another host may take them now") == true)
        #expect(fact(health(status(.stopping, in: [lockspace(age: 1)])), "What follows") == nil)
    }

    @Test(arguments: [Double.infinity, -.infinity, .nan, 1e300, -1e300])
    func nonsenseIsNoTrap(seconds: Double) {
        let lockspace = WireLockspace(
            name: "L", hostId: 1, lastRenewalSeconds: seconds, actsInSeconds: seconds, othersMayTakeInSeconds: seconds)
        let odd = health(status(.stopping, lease: .lost, in: [lockspace]))
        #expect(!odd.facts.isEmpty && !odd.words.isEmpty && !health(status(in: [lockspace])).words.isEmpty)
    }

    @Test func aGuestWithoutItsLeasesDoesNotHoldThem() {
        for (state, words) in [
            (WireStatus.State.incoming, "leases not taken yet"), (.starting, "leases not taken yet"),
            (.migrating, "leases given back"), (.paused, "leases given back"),
        ] {
            let health = GuestHealth(
                status: status(state, lease: .released, in: []), events: [], secondsSince1970: 0)
            #expect(health.words == words)
        }
    }
}
