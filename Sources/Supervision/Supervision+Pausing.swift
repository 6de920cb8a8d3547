import Leases

// The guest stands still instead of ending: its leases are given back while it does, and taken again under their versions.
extension Supervision {
    mutating func pause(endSeconds: Double) -> [Action] {
        let isUrgent = endSeconds <= settings.urgentPauseSeconds
        let stopSeconds = isUrgent ? 0 : min(settings.stopSeconds, endSeconds / 2)
        state = .pausing(Pausing(stopSeconds: stopSeconds))
        let seconds = isUrgent ? settings.urgentPauseSeconds : endSeconds - stopSeconds
        return keeperWait(settings.urgentPauseSeconds + Supervision.keeperSpareSeconds)
            + [.pauseGuest, .startTimer(.pause, seconds: seconds)]
    }

    private static let keeperSpareSeconds = 0.2

    // Of a connection that stands the keeper sees nothing.
    private func keeperWait(_ seconds: Double?) -> [Action] {
        isConnected ? [] : [.letKeeperWait(seconds: seconds)]
    }

    mutating func whilePausing(_ pausing: Pausing, _ event: Event) -> [Action] {
        switch event {
        case .guestPaused:
            return [.cancelTimer(.pause)] + keeperWait(nil) + [.announcePause] + standStill()
        case .pauseFailed, .timerFired(.pause):
            if pausing.stopSeconds <= 0 { return [.cancelTimer(.pause)] + kill(.leaseLost) }
            return [.cancelTimer(.pause)] + stop(pausing.stopSeconds, for: .leaseLost)
        case .leaseConnectionLost:
            isConnected = false
            state = .pausing(Pausing(stopSeconds: 0))
            return keeperWait(settings.urgentPauseSeconds + Supervision.keeperSpareSeconds)
                + [.hastenTimer(.pause, seconds: settings.urgentPauseSeconds)]
        case .leasesLost(let endSeconds):
            guard endSeconds <= settings.urgentPauseSeconds else { return [] }
            state = .pausing(Pausing(stopSeconds: 0))
            return [.hastenTimer(.pause, seconds: settings.urgentPauseSeconds)]
        case .stopRequested(let timeoutSeconds):
            let seconds = min(timeoutSeconds, pausing.stopSeconds)
            return [.cancelTimer(.pause)] + (seconds <= 0 ? kill(.stopped) : stop(seconds))
        case .killRequested:
            return [.cancelTimer(.pause)] + kill(.killed)
        case .guestEnded(let end):
            return [.cancelTimer(.pause)] + guestEnded(end, .exited)
        case .guestSuspended(let signal):
            return [.suspendSelf(signal: signal)]
        case .keeperEnded:
            return [.cancelTimer(.pause)] + rescue(.keeperDied)
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .guestStarted, .guestFailedToStart, .guestAdopted,
            .orphansGone, .timerFired, .leasesReleased, .leasesSeen, .lookUrged, .guestWentOn, .monitorLost:
            return []
        }
    }

    private mutating func standStill() -> [Action] {
        if isConnected {
            state = .paused(.givingBack)
            return [.giveLeasesBack]
        }
        return tryAgain(in: Supervision.firstAttemptSeconds)
    }

    private mutating func tryAgain(in seconds: Double = Supervision.attemptPauseSeconds) -> [Action] {
        state = .paused(.waiting)
        return [.startTimer(.nextAttempt, seconds: seconds)]
    }

    private static let firstAttemptSeconds = 0.2
    private static let attemptPauseSeconds = 1.0
    private static let resumePauseSeconds = 2.0

    mutating func whilePaused(_ step: Paused, _ event: Event) -> [Action] {
        switch event {
        case .leasesReleased where step == .givingBack:
            return tryAgain()
        case .timerFired(.nextAttempt) where step == .waiting:
            guard isConnected else { return [.connect] }
            state = .paused(.taking)
            return [.retakeLeases]
        case .connected where step == .waiting:
            isConnected = true
            state = .paused(.taking)
            return [.retakeLeases]
        case .leasesRefused(let failure, _) where step == .waiting || step == .taking:
            guard failure.tellsOfAnotherHolder else { return tryAgain() }
            state = .paused(.staying)
            return [.announceStay(failure)]
        case .leasesTaken where step == .taking:
            state = .paused(.goingOn)
            isLossAnnounced = false
            return [.resumeGuest, .startTimer(.resume, seconds: Supervision.resumePauseSeconds)] + watchFromNow()
        case .timerFired(.resume) where step == .goingOn:
            return [.resumeGuest, .startTimer(.resume, seconds: Supervision.resumePauseSeconds)]
        case .guestPaused:
            return [.cancelTimer(.monitor)]
        default:
            return whilePausedOtherwise(step, event)
        }
    }

    // What may come at any step. A guest that goes on without its leases is killed, as is one of which nobody can tell.
    private mutating func whilePausedOtherwise(_ step: Paused, _ event: Event) -> [Action] {
        let hasLeases = step == .goingOn
        switch event {
        case .guestWentOn:
            guard hasLeases else { return leave(kill(.leaseLost)) }
            state = .running
            return leave([.announceResume] + watchFromNow())
        case .monitorLost:
            return hasLeases ? [] : [.startTimer(.monitor, seconds: settings.monitorSeconds)]
        case .timerFired(.monitor):
            return hasLeases ? [] : leave(kill(.leaseLost))
        case .leaseConnectionLost:
            isConnected = false
            if hasLeases { return leave(lose(endSeconds: 0)) }
            return keeperWait(nil) + (step == .givingBack || step == .taking ? tryAgain() : [])
        case .leasesLost(let endSeconds):
            return hasLeases ? leave(lose(endSeconds: endSeconds)) : []
        case .timerFired(.renewalFailure):
            return hasLeases ? leave(lose(endSeconds: endSeconds)) : []
        case .leasesSeen, .lookUrged, .timerFired(.leaseLook), .timerFired(.renewalWarning):
            return hasLeases ? watch(event) : []
        case .stopRequested(let timeoutSeconds):
            // An emulator that ends writes to its images, which are somebody else's by now.
            return leave(hasLeases ? stop(timeoutSeconds) : kill(.stopped))
        case .killRequested:
            return leave(kill(.killed))
        case .guestEnded(let end):
            return leave(guestEnded(end, .exited))
        case .guestSuspended(let signal):
            return [.suspendSelf(signal: signal)]
        case .keeperEnded:
            return leave(rescue(.keeperDied))
        case .connected, .leasesTaken, .leasesRefused, .interrupted, .guestStarted, .guestFailedToStart, .guestAdopted,
            .orphansGone, .timerFired, .leasesReleased, .guestPaused, .pauseFailed:
            return []
        }
    }

    private func leave(_ actions: [Action]) -> [Action] {
        [.cancelTimer(.nextAttempt), .cancelTimer(.resume), .cancelTimer(.monitor)] + actions
    }
}

extension LeaseFailure {
    /// Whether it says that somebody else had the lease, or has it.
    var tellsOfAnotherHolder: Bool {
        // Who else shares a lease, or tries to, changes nothing.
        if request?.mode == .shared { return false }
        return switch outcome {
        case .wrongVersion, .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .orphaned: true
        case .beingReleased, .sameDevice, .lockspaceGone, .hostIdInUse, .leaseFileMissing, .leaseFileUnusable,
            .leaseFileNotMade, .hostIdTooLarge, .daemonUnreachable, .storageFailed, .notPermitted, .configurationWrong,
            .other:
            false
        }
    }
}
