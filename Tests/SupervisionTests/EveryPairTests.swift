import Leases
import Testing

@testable import Supervision

/// The promises, over every state that can be reached and every event that can come in it.
@Suite struct EveryPairTests {
    static let events: [Event] =
        [
            .connected, .leasesTaken, .leasesRefused(LeaseFailure(.heldElsewhere, detail: ""), nowSeconds: 0),
            .leasesRefused(LeaseFailure(.beingReleased, detail: ""), nowSeconds: 1),
            .leasesRefused(LeaseFailure(.storageFailed, detail: ""), nowSeconds: 1), .guestStarted,
            .guestFailedToStart(step: "exec", number: 2), .guestAdopted, .guestSuspended(signal: 20),
            .guestEnded(.exited(status: 0)), .guestEnded(.died(signal: 9)), .keeperEnded, .orphansGone,
            .leaseConnectionLost, .stopRequested(timeoutSeconds: 1), .interrupted(signal: 2), .killRequested,
            .leasesReleased(free: true), .leasesReleased(free: false),
        ] + Timer.allCases.map(Event.timerFired)

    /// Every state that some sequence of events leads to, with the sequence.
    static func reachable(_ settings: Supervision.Settings) -> [(guest: Supervision, path: [Event])] {
        var found: [(guest: Supervision, path: [Event])] = [(Supervision(settings: settings), [])]
        var next = 0
        while next < found.count {
            let (guest, path) = found[next]
            next += 1
            // The number of attempts grows without end and changes nothing but a pause.
            if path.count > 8 { continue }
            for event in events {
                var after = guest
                _ = after.handle(event)
                if !found.contains(where: { $0.guest == after }) { found.append((after, path + [event])) }
            }
        }
        return found
    }

    static let settings = [
        Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 1),
        Supervision.Settings(daemonizes: true, waitSeconds: 5, attemptSeconds: 1),
    ]

    @Test(arguments: settings)
    func noLeaseIsReleasedWhileSomethingOfTheGuestMayLive(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let actions = after.handle(event)
                guard actions.contains(.releaseLeases) else { continue }
                let isProof =
                    switch event {
                    case .guestEnded, .guestFailedToStart, .orphansGone: true
                    default: false
                    }
                #expect(isProof, "released on \(event) after \(path)")
            }
        }
    }

    @Test(arguments: settings)
    func guestIsStartedOnlyByTheLeases(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                if after.handle(event).contains(.startGuest) {
                    #expect(event == .leasesTaken, "started on \(event) after \(path)")
                }
            }
        }
    }

    @Test(arguments: settings)
    func lostLeasesAreAnsweredInEveryState(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            let actions = after.handle(.leaseConnectionLost)
            switch guest.state {
            case .starting, .running:
                #expect(actions.contains(.killGuest), "after \(path)")
            case .stopping(let stopping):
                #expect(stopping.reason == .leaseLost || actions.contains(.killGuest), "after \(path)")
            case .acquiring, .releasing:
                #expect(actions.contains { if case .finish = $0 { true } else { false } }, "after \(path)")
            case .rescuing:
                // What is left is being killed already.
                #expect(after.state == .rescuing(.leaseLost), "after \(path)")
            case .finished:
                #expect(actions.isEmpty, "after \(path)")
            }
        }
    }

    @Test(arguments: settings)
    func killIsAnsweredWhereverThereIsAGuest(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            let actions = after.handle(.killRequested)
            switch guest.state {
            case .starting, .running: #expect(actions.contains(.killGuest), "after \(path)")
            case .stopping(let stopping): #expect(stopping.isKilling || actions.contains(.killGuest), "after \(path)")
            case .acquiring, .rescuing, .releasing, .finished: break
            }
        }
    }

    @Test(arguments: settings)
    func everyStateHasAWayOut(_ settings: Supervision.Settings) {
        // Whatever state is reached, these events end it: nothing hangs.
        let way: [Event] = [
            .leaseConnectionLost, .keeperEnded, .orphansGone, .timerFired(.releaseAnswer), .leasesReleased(free: true),
        ]
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            for event in way { _ = after.handle(event) }
            guard case .finished = after.state else {
                Issue.record("no way out of \(guest.state) after \(path)")
                continue
            }
        }
    }

    @Test(arguments: settings)
    func finishedIsFinal(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            guard case .finished = guest.state else { continue }
            for event in Self.events {
                var after = guest
                #expect(after.handle(event).isEmpty && after == guest, "\(event) after \(path)")
            }
        }
    }

    @Test(arguments: settings)
    func everyWaitHasALimit(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let actions = after.handle(event)
                guard after.state != guest.state else { continue }
                let timers = actions.compactMap { action -> Timer? in
                    if case .startTimer(let timer, _) = action { timer } else { nil }
                }
                switch after.state {
                case .stopping(let stopping):
                    let wanted: Timer = stopping.isKilling ? .killConfirmation : .stop
                    #expect(timers.contains(wanted), "\(event) after \(path)")
                case .releasing: #expect(timers.contains(.releaseAnswer), "\(event) after \(path)")
                case .rescuing:
                    if case .rescuing = guest.state { continue }
                    #expect(timers.contains(.orphanPass), "\(event) after \(path)")
                case .acquiring, .starting, .running, .finished: break
                }
            }
        }
    }
}
