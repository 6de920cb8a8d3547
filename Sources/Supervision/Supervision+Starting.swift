import Leases

// Before the guest runs: giving up is leaving.
extension Supervision {
    mutating func whileAcquiring(_ acquiring: Acquiring, _ event: Event) -> [Action] {
        switch event {
        case .connected:
            isConnected = true
            return attempt()
        case .timerFired(.nextAttempt):
            return attempt()
        case .leasesTaken:
            state = .starting
            return [.cancelTimer(.attemptAnswer), .startGuest] + firstTimers()
        case .leasesReachable:
            state = .starting
            return [.cancelTimer(.attemptAnswer), .startGuest]
        case .leasesRefused(let failure, let nowSeconds):
            return refused(failure, acquiring, nowSeconds)
        case .timerFired(.attemptAnswer):
            return giveUp(.leaseManagerSilent)
        case .stopRequested, .killRequested:
            return giveUp(.interrupted(signal: nil))
        case .interrupted(let signal):
            return giveUp(.interrupted(signal: signal))
        case .leaseConnectionLost:
            return giveUp(
                .leases(LeaseFailure(.daemonUnreachable, detail: "the lease manager ended while it was asked")))
        case .guestStarted, .guestFailedToStart, .guestAdopted, .guestSuspended, .guestEnded, .keeperEnded,
            .orphansGone, .timerFired, .leasesReleased, .leasesSeen, .lookUrged, .leasesLost, .guestPaused,
            .pauseFailed, .guestWentOn, .monitorLost, .guestStoodStill, .ordered, .orderAbandoned, .moreTaken,
            .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private func attempt() -> [Action] {
        let take: Action = settings.isIncoming ? .reachLeases : .takeLeases
        return [take, .startTimer(.attemptAnswer, seconds: settings.attemptSeconds)]
    }

    private mutating func refused(_ failure: LeaseFailure, _ acquiring: Acquiring, _ now: Double) -> [Action] {
        var acquiring = acquiring
        let since = acquiring.busySinceSeconds ?? now
        acquiring.busySinceSeconds = since
        acquiring.attempts += 1
        let patience = max(settings.waitSeconds, ownPatience(failure.outcome))
        guard failure.isBusy, now - since < patience else { return giveUp(.leases(failure)) }
        state = .acquiring(acquiring)
        return [
            .cancelTimer(.attemptAnswer),
            .startTimer(.nextAttempt, seconds: pause(failure.outcome, acquiring.attempts)),
        ]
    }

    // What nobody has to be asked to wait for.
    func ownPatience(_ outcome: LeaseOutcome) -> Double {
        switch outcome {
        case .beingReleased: settings.releasingSeconds
        case .heldWithoutRecord: settings.strangerSeconds
        default: 0
        }
    }

    // A release takes milliseconds and is waited for with a growing pause; a live holder is asked about less often.
    private func pause(_ outcome: LeaseOutcome, _ attempts: Int) -> Double {
        switch outcome {
        case .beingReleased: min(0.004 * Double(attempts), 0.05)
        case .heldWithoutRecord: min(0.02 * Double(attempts), 0.25)
        default: 0.25
        }
    }

    private mutating func giveUp(_ failure: StartFailure) -> [Action] {
        // What an attempt under way may still bring is freed by the end of the process.
        state = .finished(.notStarted(failure), leasesFree: true)
        return [.finish(.notStarted(failure), leasesFree: true)]
    }

    mutating func whileStarting(_ event: Event) -> [Action] {
        switch event {
        case .guestStarted where settings.daemonizes:
            hasRun = true
            return []
        case .guestStarted, .guestAdopted:
            hasRun = true
            state = settings.isIncoming ? .paused(Paused(.released, .arrival)) : .running
            return [.announceStart] + (settings.isIncoming ? [] : firstLook())
        case .guestSuspended(let signal):
            return [.suspendSelf(signal: signal)]
        case .guestFailedToStart(let step, let number):
            return release(.notStarted(.program(step: step, number: number)))
        case .keeperEnded:
            return rescue(.keeperDied)
        case .leaseConnectionLost:
            isConnected = false
            return kill(.leaseLost) + announceLoss()
        case .leasesLost, .timerFired(.renewalFailure):
            return kill(.leaseLost) + announceLoss()
        case .leasesSeen, .lookUrged, .timerFired(.leaseLook):
            return watch(event)
        case .timerFired(.renewalWarning):
            // Told once there is a guest to be warned of.
            return watch(.lookUrged)
        case .stopRequested(let timeoutSeconds):
            return stop(timeoutSeconds)
        case .killRequested:
            return kill(.killed)
        case .guestEnded(let end):
            return guestEnded(end, .exited)
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .orphansGone, .timerFired, .leasesReleased,
            .guestPaused, .pauseFailed, .guestWentOn, .monitorLost, .leasesReachable, .guestStoodStill, .ordered,
            .orderAbandoned, .moreTaken,
            .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }
}
