import Leases
import Testing

@testable import Supervision

/// What another program goes on from.
@Suite struct CarryingTests {
    @Test(arguments: EveryPairTests.settings)
    func oneThatIsCarriedOnAnswersEveryEventAsBefore(_ settings: Supervision.Settings) {
        var carried = 0
        for (guest, path) in EveryPairTests.reachable(settings) {
            guard let life = guest.carried else { continue }
            carried += 1
            let again = Supervision(settings: settings, carrying: life)
            #expect(again.carried == life, "after \(path)")
            for event in EveryPairTests.events {
                var before = guest
                var after = again
                #expect(before.handle(event) == after.handle(event), "\(event) after \(path)")
                #expect(before.state == after.state, "\(event) after \(path)")
            }
        }
        #expect(carried > 0)
    }

    @Test(arguments: EveryPairTests.settings)
    func onlyAGuestAtRestIsCarriedOn(_ settings: Supervision.Settings) {
        for (guest, path) in EveryPairTests.reachable(settings) {
            let isAtRest =
                switch guest.state {
                case .running: true
                case .paused(let paused): [.held, .released, .staying].contains(paused.step)
                default: false
                }
            if guest.carried != nil { #expect(isAtRest, "after \(path)") }
            let isBusy = guest.order != nil || guest.isWorking || guest.isWorkDisowned || guest.isLeaving
            if case .running = guest.state { #expect((guest.carried == nil) == isBusy, "after \(path)") }
        }
    }

    @Test func nothingIsCarriedOnWhileAnOrderIsUnderWay() {
        var guest = running
        #expect(guest.carried != nil)
        _ = guest.handle(.ordered(.attach([], waitSeconds: 0)))
        #expect(guest.carried == nil)
        // Disowned, it still comes to its end.
        _ = guest.handle(.orderAbandoned)
        #expect(guest.carried == nil)
        _ = guest.handle(.moreTaken)
        #expect(guest.carried != nil)
    }

    @Test func nothingIsCarriedOnDuringAMigration() {
        var guest = running
        _ = guest.handle(.ordered(.prepareToLeave))
        #expect(guest.carried == nil)
    }

    @Test func theFirstLookIsTakenAtOnceAndTheDeadlinesGoOn() {
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 1)
        settings.hasMonitor = true
        settings.firstDeadlines = EveryPairTests.deadlines
        let life = Supervision.Carried(
            paused: nil, isConnected: true, isLossAnnounced: false, isLeased: true, endSeconds: 0)
        let left = LeaseDeadlines(nextLookSeconds: 1, warningSeconds: 0, failureSeconds: 2, endSeconds: 3)
        #expect(
            Supervision(settings: settings, carrying: life).goOn(left) == [
                .lookAtLeases(isUrged: false), .startTimer(.leaseLook, seconds: 1),
                .startTimer(.renewalFailure, seconds: 2),
            ])
        var paused = life
        paused.paused = Paused(.released, .order(release: true))
        #expect(
            Supervision(settings: settings, carrying: paused).goOn(left) == [
                .startTimer(.monitor, seconds: settings.monitorSeconds)
            ])
    }

    private var running: Supervision {
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 1)
        settings.hasMonitor = true
        let life = Supervision.Carried(
            paused: nil, isConnected: true, isLossAnnounced: false, isLeased: true, endSeconds: 0)
        return Supervision(settings: settings, carrying: life)
    }
}
