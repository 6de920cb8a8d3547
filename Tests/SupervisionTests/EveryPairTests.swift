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
            .leasesReleased(free: true), .leasesReleased(free: false), .leasesSeen(deadlines), .lookUrged,
            .leasesLost(endSeconds: 0), .leasesLost(endSeconds: 30), .guestPaused, .pauseFailed, .guestWentOn,
            .monitorLost, .leasesRefused(LeaseFailure(.wrongVersion, detail: ""), nowSeconds: 1), .leasesReachable,
            .guestStoodStill, .orderAbandoned, .moreTaken, .moreRefused(.notStill, nowSeconds: 1),
            .someReleased(areAnyLeft: true, problem: nil), .someReleased(areAnyLeft: true, problem: .notStill),
            .leaseRequested,
        ] + Timer.allCases.map(Event.timerFired) + orders.map(Event.ordered)

    static let orders: [Order] = [
        .attach([], waitSeconds: 0), .detach([]), .suspend(release: false), .suspend(release: true), .resume,
        .prepareToLeave, .leave, .comeBack, .arrive([], goesOn: true), .arrive([], goesOn: false),
    ]

    static let deadlines = LeaseDeadlines(
        nextLookSeconds: 2, warningSeconds: 6, failureSeconds: 9, endSeconds: 43)

    /// Every state that some sequence of events leads to, with the sequence.
    static func reachable(_ settings: Supervision.Settings) -> [(guest: Supervision, path: [Event])] {
        if settings.isIncoming { return ofIncoming }
        if settings.pauses { return ofPausing }
        return settings.daemonizes ? ofDaemonizing : ofPlain
    }

    private static let ofPlain = findAll(settings[0])
    private static let ofDaemonizing = findAll(settings[1])
    private static let ofPausing = findAll(settings[2])
    private static let ofIncoming = findAll(settings[3])

    private static func findAll(_ settings: Supervision.Settings) -> [(guest: Supervision, path: [Event])] {
        var found: [(guest: Supervision, path: [Event])] = [(Supervision(settings: settings), [])]
        // By state, so that few have to be compared.
        var known = ["\(found[0].guest.state)": [found[0].guest]]
        var next = 0
        while next < found.count {
            let (guest, path) = found[next]
            next += 1
            // The number of attempts grows without end and changes nothing but a pause.
            if case .acquiring(let acquiring) = guest.state, acquiring.attempts > 1 { continue }
            for event in events {
                var after = guest
                _ = after.handle(event)
                if after == guest || known["\(after.state)"]?.contains(after) == true { continue }
                known["\(after.state)", default: []].append(after)
                found.append((after, path + [event]))
            }
        }
        return found
    }

    static let settings = [
        Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 1),
        Supervision.Settings(daemonizes: true, waitSeconds: 5, attemptSeconds: 1),
        pausing, incoming,
    ]

    static var incoming: Supervision.Settings {
        var settings = pausing
        settings.pauses = false
        settings.isIncoming = true
        return settings
    }

    static var pausing: Supervision.Settings {
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 1)
        settings.pauses = true
        settings.hasMonitor = true
        settings.firstDeadlines = deadlines
        return settings
    }

    @Test(arguments: settings)
    func noLeaseIsReleasedWhileSomethingOfTheGuestMayLive(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let actions = after.handle(event)
                if actions.contains(.giveLeasesBack) {
                    // What is given back late was never a running guest's.
                    #expect(event == .guestPaused || event == .leasesTaken, "\(event) after \(path)")
                    if event == .leasesTaken, case .paused(let paused) = guest.state {
                        #expect(!paused.hasLeases, "after \(path)")
                    }
                }
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

    @Test(arguments: [pausing, incoming])
    func guestThatStandsStillGoesOnOnlyByItsLeases(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let actions = after.handle(event)
                if actions.contains(.resumeGuest), case .paused(let before) = guest.state, !before.hasLeases {
                    #expect(event == .leasesTaken && before.step == .taking, "\(event) after \(path)")
                }
                guard actions.contains(where: { if case .retakeLeases = $0 { true } else { false } }) else { continue }
                guard case .paused(let now) = after.state else {
                    Issue.record("\(event) after \(path)")
                    continue
                }
                #expect(now.step == .taking, "\(event) after \(path)")
            }
        }
    }

    /// Whoever gives an order hears of it, whatever becomes of the guest, and once.
    @Test(arguments: settings)
    func everyOrderIsAnsweredOnce(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let actions = after.handle(event)
                let answers = actions.count { action in
                    switch action {
                    case .completeOrder, .refuseOrder: true
                    default: false
                    }
                }
                var owed = guest.order == nil ? 0 : 1
                if case .ordered = event { owed += 1 }
                let waiting = after.order == nil ? 0 : 1
                #expect(answers + waiting == owed, "\(answers) answers on \(event) after \(path)")
            }
        }
    }

    /// An order that nobody answers ends by time, or waits for a migration's end and ends with its caller.
    @Test(arguments: settings)
    func everyOrderHasALimit(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) where guest.order != nil {
            var after = guest
            _ = after.handle(.timerFired(.orderAnswer))
            #expect(after.order == nil, "after \(path)")
        }
    }

    /// Late leases of an order that was given up are no guest's.
    @Test(arguments: settings)
    func whatAnOrderBringsLateIsGivenBack(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) where guest.isWorkDisowned || guest.order == nil {
            if case .finished = guest.state { continue }
            var after = guest
            #expect(after.handle(.moreTaken).contains(.dropTaken), "after \(path)")
            guard case .paused(let paused) = guest.state, paused.step == .taking else { continue }
            if case .loss = paused.purpose { continue }
            after = guest
            #expect(after.handle(.leasesTaken).contains(.giveLeasesBack), "after \(path)")
        }
    }

    /// Without its leases it may be paused or dying, and nothing else.
    @Test func guestThatGoesOnWithoutItsLeasesIsKilled() {
        for (guest, path) in Self.reachable(Self.pausing) {
            guard case .paused(let paused) = guest.state, !paused.hasLeases else { continue }
            for event in [Event.guestWentOn, .timerFired(.monitor)] {
                var after = guest
                #expect(after.handle(event).contains(.killGuest), "\(event) after \(path)")
            }
            var after = guest
            // It isn't asked to end: ending, an emulator writes.
            #expect(!after.handle(.stopRequested(timeoutSeconds: 5)).contains(.askGuestToStop), "after \(path)")
            #expect(after.state == .stopping(Stopping(reason: .stopped, isKilling: true)), "after \(path)")
        }
    }

    @Test(arguments: settings)
    func guestIsStartedOnlyByTheLeases(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                if after.handle(event).contains(.startGuest) {
                    // The target of a migration is loaded only.
                    let isGranted = event == .leasesTaken || event == .leasesReachable
                    #expect(isGranted, "started on \(event) after \(path)")
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
            case .starting:
                #expect(actions.contains(.killGuest), "after \(path)")
            case _ where guest.hasItsLeases:
                let answer: Action = settings.pauses ? .pauseGuest : .killGuest
                #expect(actions.contains(answer), "after \(path)")
                if settings.pauses { #expect(actions.contains(.startTimer(.pause, seconds: 0.55)), "after \(path)") }
            case .running: Issue.record("running without leases after \(path)")
            case .pausing:
                #expect(actions.contains(.hastenTimer(.pause, seconds: 0.55)), "after \(path)")
            case .paused:
                #expect(actions.contains(.letKeeperWait(seconds: nil)), "after \(path)")
            case .stopping(let stopping):
                let isDying = guest.isLossAnnounced && stopping.isKilling
                #expect(isDying || actions.contains(.killGuest), "after \(path)")
            case .acquiring, .releasing:
                #expect(actions.contains { if case .finish = $0 { true } else { false } }, "after \(path)")
            case .rescuing:
                // What is left is being killed already.
                let wasLost = guest.isLossAnnounced
                #expect(wasLost || after.state == .rescuing(.leaseLost), "after \(path)")
            case .finished:
                #expect(actions.isEmpty, "after \(path)")
            }
        }
    }

    /// Leases that aren't renewed: the guest's end is set before the daemon's.
    @Test(arguments: settings)
    func leasesLostByAndByAreAnsweredInTime(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            let actions = after.handle(.leasesLost(endSeconds: 30))
            switch guest.state {
            case _ where guest.hasItsLeases:
                let limit: Action =
                    settings.pauses ? .startTimer(.pause, seconds: 15) : .startTimer(.stop, seconds: 30)
                #expect(actions.contains(limit), "after \(path)")
                #expect(actions.contains(settings.pauses ? .pauseGuest : .askGuestToStop), "after \(path)")
            case .stopping(let stopping):
                #expect(stopping.isKilling || actions.contains(.hastenTimer(.stop, seconds: 30)), "after \(path)")
            case .acquiring, .starting, .running, .pausing, .paused, .rescuing, .releasing, .finished: break
            }
        }
    }

    @Test(arguments: settings)
    func killIsAnsweredWhereverThereIsAGuest(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            let actions = after.handle(.killRequested)
            switch guest.state {
            case .starting, .running, .pausing, .paused: #expect(actions.contains(.killGuest), "after \(path)")
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
                let actions = after.handle(event)
                if case .ordered = event {
                    #expect(actions == [.refuseOrder(.ended)], "after \(path)")
                } else {
                    #expect(actions.isEmpty, "\(event) after \(path)")
                }
                #expect(after == guest, "\(event) after \(path)")
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
                case .pausing:
                    if case .pausing = guest.state { continue }
                    #expect(timers.contains(.pause), "\(event) after \(path)")
                case .paused(let paused):
                    let isLoss = if case .loss = paused.purpose { true } else { false }
                    switch paused.step {
                    case .waiting where isLoss && after.order == nil:
                        #expect(timers.contains(.nextAttempt), "\(event) after \(path)")
                    case .waiting, .taking, .givingBack:
                        let isLimited = isLoss || after.order == nil || timers.contains(.orderAnswer)
                        #expect(isLimited || guest.order != nil, "\(event) after \(path)")
                    case .goingOn: #expect(timers.contains(.resume), "\(event) after \(path)")
                    case .held, .released, .staying: break
                    }
                case .starting:
                    let isLimited = settings.firstDeadlines == nil || event != .leasesTaken
                    #expect(isLimited || timers.contains(.renewalFailure), "\(event) after \(path)")
                case .running:
                    if settings.firstDeadlines != nil, case .starting = guest.state {
                        #expect(actions.contains(.lookAtLeases(isUrged: false)), "\(event) after \(path)")
                    }
                case .acquiring, .finished: break
                }
            }
        }
    }

    /// How long a guest may go on without news of its leases: no order puts that off, and nothing that the guest does.
    @Test(arguments: [pausing, incoming])
    func onlyTheLeasesThemselvesPutTheirDeadlineOff(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let isSet = after.handle(event).contains {
                    if case .startTimer(.renewalFailure, _) = $0 { true } else { false }
                }
                guard isSet else { continue }
                let isOfLeases = [.leasesTaken, .leasesSeen(Self.deadlines), .moreTaken].contains(event)
                #expect(isOfLeases, "\(event) after \(path)")
            }
        }
    }

    /// Through a second connection the first one's leases would be lost, once it is closed.
    @Test(arguments: settings)
    func noSecondConnectionIsMadeBesideOneThatIsBeingMade(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            for event in Self.events {
                var after = guest
                let connects = after.handle(event).contains(.connect)
                if connects { #expect(after.isConnecting && !after.isConnected, "\(event) after \(path)") }
                // A refusal is the answer.
                if case .leasesRefused = event { continue }
                #expect(!connects || !guest.isConnecting, "\(event) after \(path)")
            }
        }
    }

    /// However often a monitor comes back and goes again.
    @Test(arguments: [pausing, incoming])
    func aMonitorThatIsLostPutsNoLimitOff(_ settings: Supervision.Settings) {
        for (guest, path) in Self.reachable(settings) {
            var after = guest
            let isPutOff = after.handle(.monitorLost).contains {
                if case .startTimer = $0 { true } else { false }
            }
            #expect(!isPutOff, "after \(path)")
        }
    }
}

extension Supervision {
    /// Whether it holds its leases and could write at any moment.
    fileprivate var hasItsLeases: Bool {
        switch state {
        case .running: true
        case .pausing(let pausing): if case .loss = pausing.purpose { false } else { true }
        case .paused(let paused): paused.hasLeases
        case .acquiring, .starting, .stopping, .rescuing, .releasing, .finished: false
        }
    }
}
