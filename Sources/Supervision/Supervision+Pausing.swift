import Leases

// The guest stands still instead of running or ending: its leases are given back meanwhile or kept, and taken again under
// their versions.
extension Supervision {
    mutating func pause(endSeconds: Double, goesOn: Bool) -> [Action] {
        let isUrgent = endSeconds <= settings.urgentPauseSeconds
        let stopSeconds = isUrgent ? 0 : min(settings.stopSeconds, endSeconds / 2)
        state = .pausing(Pausing(.loss(goesOn: goesOn), stopSeconds: stopSeconds))
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
        guard case .loss = pausing.purpose else { return whilePausingByOrder(pausing, event) }
        switch event {
        case .guestPaused:
            return [.cancelTimer(.pause)] + keeperWait(nil) + [.announcePause(pausing.purpose)]
                + standStill(pausing.purpose)
        case .pauseFailed, .timerFired(.pause):
            if pausing.stopSeconds <= 0 { return [.cancelTimer(.pause)] + kill(.leaseLost) }
            return [.cancelTimer(.pause)] + stop(pausing.stopSeconds, for: .leaseLost)
        case .leaseConnectionLost:
            isConnected = false
            state = .pausing(Pausing(pausing.purpose))
            return keeperWait(settings.urgentPauseSeconds + Supervision.keeperSpareSeconds)
                + [.hastenTimer(.pause, seconds: settings.urgentPauseSeconds)]
        case .leasesLost(let endSeconds):
            guard endSeconds <= settings.urgentPauseSeconds else { return [] }
            state = .pausing(Pausing(pausing.purpose))
            return [.hastenTimer(.pause, seconds: settings.urgentPauseSeconds)]
        case .stopRequested(let timeoutSeconds):
            let seconds = min(timeoutSeconds, pausing.stopSeconds)
            return [.cancelTimer(.pause)] + (seconds <= 0 ? kill(.stopped) : stop(seconds))
        case .killRequested, .guestEnded, .guestSuspended, .keeperEnded:
            return whilePausingForWhatever(event)
        case .connected, .leasesTaken, .leasesReachable, .leasesRefused, .interrupted, .guestStarted,
            .guestFailedToStart, .guestAdopted, .orphansGone, .timerFired, .leasesReleased, .leasesSeen, .lookUrged,
            .guestWentOn, .monitorLost, .guestStoodStill, .ordered, .orderAbandoned, .moreTaken, .moreRefused,
            .someReleased, .leaseRequested:
            return []
        }
    }

    // The guest has its leases, and may be let go on at any time.
    private mutating func whilePausingByOrder(_ pausing: Pausing, _ event: Event) -> [Action] {
        switch event {
        case .guestPaused:
            if pausing.purpose == .order(release: false) {
                state = .paused(Paused(.held, pausing.purpose))
                return [.cancelTimer(.pause), .announcePause(pausing.purpose)] + completeOrder()
            }
            state = .paused(Paused(.givingBack, pausing.purpose))
            return [
                .cancelTimer(.pause), .announcePause(pausing.purpose), .giveLeasesBack,
                .startTimer(.orderAnswer, seconds: settings.attemptSeconds),
            ]
        case .pauseFailed, .timerFired(.pause):
            return [.cancelTimer(.pause)] + refuseOrder(.notStill) + letBe(pausing)
        case .leaseConnectionLost:
            isConnected = false
            return [.cancelTimer(.pause)] + lose(endSeconds: 0, goesOn: !pausing.stood)
        case .leasesLost(let endSeconds):
            return [.cancelTimer(.pause)] + lose(endSeconds: endSeconds, goesOn: !pausing.stood)
        case .timerFired(.renewalFailure):
            return [.cancelTimer(.pause)] + lose(endSeconds: endSeconds, goesOn: !pausing.stood)
        case .leasesSeen, .lookUrged, .timerFired(.leaseLook), .timerFired(.renewalWarning):
            return watch(event)
        case .stopRequested(let timeoutSeconds):
            return [.cancelTimer(.pause)] + stop(timeoutSeconds)
        case .killRequested, .guestEnded, .guestSuspended, .keeperEnded:
            return whilePausingForWhatever(event)
        case .connected, .leasesTaken, .leasesReachable, .leasesRefused, .interrupted, .guestStarted,
            .guestFailedToStart, .guestAdopted, .orphansGone, .timerFired, .leasesReleased, .guestWentOn, .monitorLost,
            .guestStoodStill, .ordered, .orderAbandoned, .moreTaken, .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private mutating func whilePausingForWhatever(_ event: Event) -> [Action] {
        switch event {
        case .killRequested: return [.cancelTimer(.pause)] + kill(.killed)
        case .guestEnded(let end): return [.cancelTimer(.pause)] + guestEnded(end, .exited)
        case .guestSuspended(let signal): return [.suspendSelf(signal: signal)]
        case .keeperEnded: return [.cancelTimer(.pause)] + rescue(.keeperDied)
        default: return []
        }
    }

    // It may stand or run by now. One that was migrated away has ended its work here, and stands for good.
    private mutating func letBe(_ pausing: Pausing) -> [Action] {
        if pausing.stood {
            state = .paused(Paused(.held, .order(release: false)))
            return []
        }
        if pausing.purpose == .migration {
            state = .running
            return []
        }
        return goOn(pausing.purpose)
    }

    mutating func goOn(_ purpose: PausePurpose) -> [Action] {
        state = .paused(Paused(.goingOn, purpose))
        // It may go on before this is over.
        return [.startTimer(.resume, seconds: Supervision.resumePauseSeconds), .resumeGuest]
    }

    private mutating func standStill(_ purpose: PausePurpose) -> [Action] {
        if isConnected {
            state = .paused(Paused(.givingBack, purpose))
            return [.giveLeasesBack]
        }
        return tryAgain(purpose, in: Supervision.firstAttemptSeconds)
    }

    private mutating func tryAgain(
        _ purpose: PausePurpose, in seconds: Double = Supervision.attemptPauseSeconds
    ) -> [Action] {
        state = .paused(Paused(.waiting, purpose))
        return [.startTimer(.nextAttempt, seconds: seconds)]
    }

    private static let firstAttemptSeconds = 0.2
    private static let attemptPauseSeconds = 1.0
    private static let resumePauseSeconds = 2.0

    /// Asks for the leases again; where the lease manager is gone, for a connection first.
    mutating func retake(_ purpose: PausePurpose) -> [Action] {
        guard isConnected else {
            state = .paused(Paused(.waiting, purpose))
            defer { isConnecting = true }
            return isConnecting ? [] : [.connect]
        }
        state = .paused(Paused(.taking, purpose))
        return [.retakeLeases(orNext: purpose == .migration)]
    }

    mutating func whilePaused(_ paused: Paused, _ event: Event) -> [Action] {
        let purpose = paused.purpose
        switch (paused.step, event) {
        case (.givingBack, .leasesReleased(let free)):
            if case .loss = purpose { return tryAgain(purpose) }
            state = .paused(Paused(.released, purpose))
            return [.announceGivenBack] + (free ? completeOrder() : refuseOrder(.silent))
        case (.waiting, .timerFired(.nextAttempt)):
            return retake(purpose)
        case (.waiting, .connected):
            isConnected = true
            return retake(purpose)
        case (.waiting, .leasesRefused(let failure, _)), (.taking, .leasesRefused(let failure, _)):
            return refused(failure, purpose)
        case (.taking, .leasesTaken):
            return taken(purpose)
        case (.goingOn, .timerFired(.resume)):
            return goOn(purpose)
        case (.released, .guestStoodStill) where purpose == .arrival:
            guard order != nil else { return [] }
            return retake(purpose) + [.startTimer(.orderAnswer, seconds: settings.attemptSeconds)]
        case (.held, .guestStoodStill):
            return stoodStill(stood: true)
        case (.held, .leaseRequested):
            return giveWay(stood: true)
        case (_, .guestPaused):
            return [.cancelTimer(.monitor)]
        default:
            return whilePausedOtherwise(paused, event)
        }
    }

    private mutating func refused(_ failure: LeaseFailure, _ purpose: PausePurpose) -> [Action] {
        let answer = refuseOrder(.leases(failure))
        if case .loss = purpose, !failure.tellsOfAnotherHolder { return answer + tryAgain(purpose) }
        let stays = failure.tellsOfAnotherHolder && purpose != .migration && purpose != .arrival
        state = .paused(Paused(stays ? .staying : .released, purpose))
        return answer + (stays ? [.announceStay(failure)] : [.writeDown])
    }

    private mutating func taken(_ purpose: PausePurpose) -> [Action] {
        isLossAnnounced = false
        isLeased = true
        switch purpose {
        case .loss(goesOn: false) where order == nil:
            state = .paused(Paused(.held, .order(release: false)))
            return [.announcePause(.order(release: false))] + watchFromNow()
        case .loss: break
        case .order, .migration, .arrival:
            // Nobody waits for it any more.
            guard let order else {
                state = .paused(Paused(.givingBack, purpose))
                return [.giveLeasesBack]
            }
            if order.staysStill || purpose == .migration && stoodBeforeLeaving {
                isLeaving = false
                state = .paused(Paused(.held, .order(release: false)))
                return [.announcePause(.order(release: false))] + completeOrder() + watchFromNow()
            }
        }
        return goOn(purpose) + watchFromNow()
    }

    // What may come at any step. A guest that goes on without its leases is killed, as is one of which nobody can tell.
    private mutating func whilePausedOtherwise(_ paused: Paused, _ event: Event) -> [Action] {
        let hasLeases = paused.hasLeases
        switch event {
        case .guestWentOn:
            guard hasLeases else { return leave(kill(.leaseLost)) }
            return leave(wentOn(paused))
        case .monitorLost:
            // One that comes back and goes again has no more time than one that stays away.
            return hasLeases ? [] : [.hastenTimer(.monitor, seconds: settings.monitorSeconds)]
        case .timerFired(.monitor):
            return hasLeases ? [] : leave(kill(.leaseLost))
        case .leaseConnectionLost:
            isConnected = false
            if hasLeases { return leave(lose(endSeconds: 0, goesOn: paused.goesOn)) }
            return keeperWait(nil) + withoutConnection(paused)
        case .leasesLost(let endSeconds):
            return hasLeases ? leave(lose(endSeconds: endSeconds, goesOn: paused.goesOn)) : []
        case .timerFired(.renewalFailure):
            return hasLeases ? leave(lose(endSeconds: endSeconds, goesOn: paused.goesOn)) : []
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
        case .connected:
            isConnected = true
            return []
        case .leasesTaken, .leasesReachable, .leasesRefused, .interrupted, .guestStarted,
            .guestFailedToStart, .guestAdopted, .orphansGone, .timerFired, .leasesReleased, .guestPaused, .pauseFailed,
            .guestStoodStill, .ordered, .orderAbandoned, .moreTaken, .moreRefused, .someReleased, .leaseRequested:
            return []
        }
    }

    private mutating func wentOn(_ paused: Paused) -> [Action] {
        state = .running
        if paused.purpose == .migration { isLeaving = false }
        return [.announceResume] + completeOrder()
    }

    // The leases went with it, or are given back already.
    private mutating func withoutConnection(_ paused: Paused) -> [Action] {
        switch (paused.step, paused.purpose) {
        case (.givingBack, .loss), (.taking, .loss): return refuseOrder(.leasesLost) + tryAgain(paused.purpose)
        case (.givingBack, _), (.taking, _):
            state = .paused(Paused(.released, paused.purpose))
            return refuseOrder(.leasesLost)
        default: return []
        }
    }

    private func leave(_ actions: [Action]) -> [Action] {
        [.cancelTimer(.nextAttempt), .cancelTimer(.resume), .cancelTimer(.monitor)] + actions
    }
}

extension Paused {
    /// Whether the guest is about to go on, and would after a loss.
    fileprivate var goesOn: Bool { step == .goingOn }
}

extension Order {
    /// Whether the guest stands still all the same once this is done.
    fileprivate var staysStill: Bool { if case .arrive(_, goesOn: false) = self { true } else { false } }
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
