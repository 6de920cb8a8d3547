import Leases
import Testing

/// When something has to be done about a lockspace, from the renewal that is shown.
@Suite struct LeaseDeadlinesTests {
    private func lockspace(_ ioTimeoutSeconds: Double, shown: Double?, grace: Double = 40) -> LockspaceState {
        LockspaceState(
            name: "L", hostId: 1, hostName: nil, ioTimeoutSeconds: ioTimeoutSeconds, graceSeconds: grace,
            shownRenewalSeconds: shown)
    }

    /// What is shown is the renewal before the last one, as long as the next is not overdue.
    @Test(arguments: [1.0, 2, 5, 10, 30])
    func ageIsThatOfTheRenewalAfterTheOneShown(_ io: Double) {
        let state = lockspace(io, shown: 1000)
        #expect(state.renewalAgeSeconds(now: 1000 + 3 * io) == io)
        #expect(state.renewalAgeSeconds(now: 1000 + io) == 0)
        #expect(state.renewalAgeSeconds(now: 1000 + 6 * io + 5) == 6 * io + 5)
        #expect(lockspace(io, shown: nil).renewalAgeSeconds(now: 5) == nil)
    }

    @Test(arguments: [1.0, 2, 5, 10, 30])
    func theGuestsEndIsBeforeTheDaemonsKillAndOthersTurn(_ io: Double) {
        for age in stride(from: 0, through: 9 * io + 60, by: 0.5) {
            let deadlines = lockspace(io, shown: 1000).deadlines(now: 1000 + age)
            // Whatever of the two renewals was the last one: the daemon kills 8 T and the grace after the earlier.
            #expect(age + deadlines.endSeconds <= max(age, 8 * io + 35))
            #expect(age + deadlines.endSeconds <= max(age, 8 * io + 60))
        }
    }

    /// A supervisor gives up after the daemon does by the renewal that is shown; at io timeouts up to five seconds also where the
    /// daemon renewed twice since. There is time for an orderly end.
    @Test(arguments: [1.0, 2, 5, 10, 30])
    func theDaemonDecidesFirst(_ io: Double) {
        let deadlines = lockspace(io, shown: 1000).deadlines(now: 1000)
        #expect(deadlines.failureSeconds >= (io <= 5 ? 12 * io + 2 : 8 * io + 25))
        #expect(deadlines.failureSeconds <= deadlines.endSeconds - 10)
        #expect(deadlines.warningSeconds <= 8 * io)
    }

    /// Where all is well, each look finds a renewal that no warning is near: the next shows when this one is up to two
    /// periods old, each a second too long, and one for the daemon to notice.
    @Test(arguments: [1.0, 2, 5, 10, 30])
    func aHealthyLockspaceIsNeverWarnedOf(_ io: Double) {
        var shown = 1000.0
        var now = 1000 + 2 * io + 1
        for _ in 0..<200 {
            let deadlines = lockspace(io, shown: shown).deadlines(now: now)
            #expect(deadlines.nextLookSeconds < deadlines.warningSeconds, "at \(now - shown)")
            #expect(deadlines.nextLookSeconds <= LockspaceState.longestLookSeconds(ioTimeoutSeconds: io))
            #expect(deadlines.nextLookSeconds >= io / 2)
            now += deadlines.nextLookSeconds
            while now - shown >= 4 * io + 3 { shown += 2 * io + 1 }
        }
    }

    @Test func withoutGraceTheEndComesAtOnce() {
        #expect(lockspace(1, shown: 1000, grace: 0).deadlines(now: 1009).endSeconds == 0)
    }

    @Test func theEarliestOfSeveralCounts() {
        let near = lockspace(1, shown: 1000).deadlines(now: 1004)
        let far = lockspace(10, shown: 1000).deadlines(now: 1004)
        #expect(near.earliest(far) == near && far.earliest(near) == near)
    }
}
