import Platform
import SanlockLeases
import Testing

@testable import HostChecks

/// What is judged of the lockspace, from facts alone.
@Suite struct LockspaceJudgementTests {
    private let path = "/leases/__LIBVIRT__DISKS__"

    private func daemon(_ membership: DaemonSight.Membership?) -> DaemonFacts {
        var facts = DaemonFacts()
        facts.pid = 7
        facts.version = "3.8.5"
        facts.hasToldMembership = true
        facts.membership = membership
        return facts
    }

    private func joined(
        _ hostId: UInt64 = 1, path: String = "/leases/__LIBVIRT__DISKS__", renewed: Double? = 80,
        generation: UInt64? = 3
    ) -> DaemonSight.Membership {
        DaemonSight.Membership(
            hostId: hostId, path: path, ioTimeoutSeconds: 10, renewedSeconds: renewed, generation: generation)
    }

    private func file(timestamp: Int64? = 100, generation: Int64 = 3) -> LockspaceFacts {
        var facts = LockspaceFacts()
        facts.file = .whole
        facts.slotTimestamp = timestamp
        facts.slotGeneration = timestamp.map { _ in generation }
        facts.leases = LeaseDirectorySight.Leases()
        return facts
    }

    private func state(_ membership: DaemonSight.Membership?, _ file: LockspaceFacts, now: Double) -> Check.State {
        file.membershipCheck(daemon(membership), hostId: 1, path: path, now: now).state
    }

    /// Renewals every 20 s at an io timeout of 10; sanlock gives up at 80.
    @Test(arguments: [
        (0.0, Check.State.ok), (20, .ok), (41, .ok), (41.5, .warning), (79.9, .warning), (80, .failed), (500, .failed),
    ])
    func renewalsAreJudgedByTheIOTimeout(age: Double, expected: Check.State) {
        #expect(state(joined(), file(), now: 100 + age) == expected)
    }

    @Test func whereTheSlotCannotBeReadTheDaemonsOlderKnowledgeCounts() {
        var unread = LockspaceFacts()
        unread.end = .silent
        // What the daemon knows is the renewal before the last one.
        #expect(state(joined(renewed: 80), unread, now: 124) == .ok)
        #expect(state(joined(renewed: 80), unread, now: 125) == .warning)
        #expect(state(joined(renewed: 80), unread, now: 160) == .failed)
        #expect(state(joined(renewed: nil), unread, now: 180) == .ok)
    }

    @Test func aFileThatIsNotTheJoinedOneIsNoticed() {
        #expect(state(joined(), file(timestamp: nil), now: 101) == .failed)
        #expect(state(joined(), file(timestamp: 0), now: 101) == .failed)
        #expect(state(joined(), file(generation: 2), now: 101) == .failed)
        #expect(state(joined(renewed: 120), file(), now: 121) == .failed)
        #expect(state(joined(generation: nil), file(generation: 2), now: 101) == .ok)
        var missing = file()
        missing.file = .missing
        #expect(state(joined(), missing, now: 101) == .failed)
    }

    @Test func whatWasJoinedHasToBeWhatIsConfigured() {
        #expect(state(joined(2), file(), now: 101) == .failed)
        #expect(state(joined(path: "/other/__LIBVIRT__DISKS__"), file(), now: 101) == .failed)
        #expect(state(nil, file(), now: 101) == .warning)
        let silent = file().membershipCheck(DaemonFacts(), hostId: 1, path: path, now: 101)
        #expect(silent.state == .notChecked)
    }

    @Test func aMissingFileIsABeginningOnlyWhereNothingWasMadeForIt() {
        for kind in [LeaseDirectorySight.Lockspace.missing, .unmade] {
            var facts = file()
            facts.file = kind
            #expect(facts.fileCheck(path, isJoined: false).state == .warning)
            #expect(facts.fileCheck(path, isJoined: nil).state == .warning)
            #expect(facts.fileCheck(path, isJoined: true).state == .failed)
            facts.leases?.count = 2
            #expect(facts.fileCheck(path, isJoined: false).state == .failed)
        }
        var damaged = file()
        damaged.file = .damaged("is cut short")
        #expect(damaged.fileCheck(path, isJoined: true).found.contains("cut short"))
        #expect(LockspaceFacts().fileCheck(path, isJoined: nil).state == .notChecked)
    }

    // MARK: The host id

    @Test func theWorstOfSeveralTroublesOfAHostIDIsTold() {
        var facts = HostIdFacts()
        facts.isUsed = false
        var leases = file()
        func check(_ hostId: UInt64? = 5, isNeeded: Bool = true) -> Check {
            facts.check(hostId: hostId, isNeeded: isNeeded, leases)
        }
        #expect(check().state == .ok)
        leases.clash = "node9, at 2026-11-22T10:00:00Z"
        #expect(check().state == .warning && check().found.contains("node9"))
        leases.leases?.tooSmall = (1...5).map { "lease\($0)" }
        #expect(check().state == .failed && check().found.hasSuffix("lease3 and 2 more"))
        facts.isUsed = true
        facts.usedBy = "node2\u{1b}[2J"
        #expect(check().found.contains("node2\\u{1b}[2J"))
        #expect(check(nil).isOfSettings && check(nil).state == .failed)
        #expect(check(nil, isNeeded: false).state == .ok)
        facts = HostIdFacts()
        leases = file()
        #expect(check().state == .notChecked)
    }
}
