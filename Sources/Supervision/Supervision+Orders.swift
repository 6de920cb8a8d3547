import Leases

// What people and programs ask for in a guest's life.
extension Supervision {
    mutating func receive(_ order: Order) -> [Action] {
        guard self.order == nil, !isWorkDisowned else { return [.refuseOrder(.underWay)] }
        self.order = order
        switch state {
        case .running: return whileRunning(order)
        case .paused(let paused): return whilePaused(paused, order)
        case .acquiring, .starting, .pausing, .stopping, .rescuing, .releasing, .finished:
            return refuseOrder(.wrongState)
        }
    }

    private mutating func whileRunning(_ order: Order) -> [Action] {
        switch order {
        case .attach, .detach:
            return isLeaving ? refuseOrder(.wrongState) : workOnLeases(order)
        case .suspend(let release):
            return isLeaving ? refuseOrder(.wrongState) : pause(for: .order(release: release), stood: false)
        case .prepareToLeave, .leave:
            return leave(order)
        case .comeBack where isLeaving:
            return [
                .cancelMigration, .startTimer(.orderAnswer, seconds: Supervision.monitorAnswerSeconds),
            ] + goOn(.migration)
        case .comeBack, .resume, .arrive:
            return refuseOrder(.wrongState)
        }
    }

    private mutating func whilePaused(_ paused: Paused, _ order: Order) -> [Action] {
        switch (paused.purpose, paused.step, order) {
        case (.order, .held, .attach), (.order, .held, .detach):
            return isLeaving ? refuseOrder(.wrongState) : workOnLeases(order)
        case (.order, .held, .suspend(release: true)) where !isLeaving:
            return pause(for: .order(release: true), stood: true)
        case (.order, .held, .suspend(release: false)), (.order, .released, .suspend):
            return completeOrder()
        case (.order, .held, .resume) where !isLeaving:
            return [.startTimer(.orderAnswer, seconds: Supervision.monitorAnswerSeconds)] + goOn(paused.purpose)
        case (.order, .released, .resume), (.order, .staying, .resume), (.loss, .staying, .resume),
            (.loss, .waiting, .resume), (.migration, .released, .comeBack):
            return [.cancelTimer(.nextAttempt)] + retake(paused.purpose)
                + [.startTimer(.orderAnswer, seconds: settings.attemptSeconds)]
        case (.order, .held, .prepareToLeave), (.order, .held, .leave):
            return leave(order)
        case (.order, .held, .comeBack) where isLeaving:
            isLeaving = false
            return [.cancelMigration] + completeOrder() + [.writeDown]
        case (.migration, .released, .leave):
            return completeOrder()
        case (.arrival, .released, .arrive(let leases, _)):
            return [.expectLeases(leases), .awaitStandstill]
        case (_, .givingBack, _), (_, .taking, _), (_, .goingOn, _):
            return refuseOrder(.underWay)
        default:
            return refuseOrder(.wrongState)
        }
    }

    private mutating func leave(_ order: Order) -> [Action] {
        guard settings.hasMonitor else { return refuseOrder(.noMonitor) }
        if order == .prepareToLeave {
            if !isLeaving { stoodBeforeLeaving = state != .running }
            isLeaving = true
            return completeOrder() + [.writeDown]
        }
        return isLeaving ? [.awaitStandstill] : refuseOrder(.wrongState)
    }

    /// Whether the guest runs, or stands still by order, under its leases.
    public var hasLeasesInPeace: Bool { state == .running || state == .paused(Paused(.held, .order(release: false))) }

    /// The emulator has finished the migration of a guest that was to leave.
    mutating func stoodStill(stood: Bool) -> [Action] {
        guard order == .leave else { return [] }
        return pause(for: .migration, stood: stood)
    }

    /// Whether the guest can give way to another host at this moment.
    public enum Readiness: Sendable {
        /// It does when it is told so.
        case ready
        /// Not yet: something else is under way.
        case later
        /// It ends, or has ended.
        case never
    }

    /// Whether `leaseRequested` makes the guest give way now.
    public var readiness: Readiness {
        switch state {
        case .running: mayGiveWay ? .ready : .later
        case .paused(let paused): paused.step == .held && mayGiveWay ? .ready : .later
        case .acquiring, .starting, .pausing: .later
        case .stopping, .rescuing, .releasing, .finished: .never
        }
    }

    // Whoever waits for a busy lease may wait long.
    private var mayGiveWay: Bool {
        switch order {
        case nil, .attach: !isLeaving
        case .detach, .suspend, .resume, .prepareToLeave, .leave, .comeBack, .arrive: !isLeaving && !settings.pauses
        }
    }

    /// Another host asks for a lease: the policy for lost ones is the answer, while there is still time to do it in order.
    mutating func giveWay(stood: Bool) -> [Action] {
        guard readiness == .ready else { return [] }
        guard settings.pauses else { return stop(settings.stopSeconds) }
        return giveUpOrder(.underWay) + pause(for: .order(release: true), stood: stood)
    }

    private mutating func pause(for purpose: PausePurpose, stood: Bool) -> [Action] {
        guard settings.hasMonitor else { return refuseOrder(.noMonitor) }
        state = .pausing(Pausing(purpose, stood: stood))
        return [.pauseGuest, .startTimer(.pause, seconds: Supervision.monitorAnswerSeconds)]
    }

    /// How long a monitor may take where nothing is urgent.
    public static let monitorAnswerSeconds = 10.0

    /// What was ordered of the guest's life is done. What is being done to its leases goes on all the same.
    mutating func completeOrder() -> [Action] {
        order?.isOfLeases == true ? [] : answerOrder(.completeOrder)
    }

    mutating func refuseOrder(_ refusal: OrderRefusal) -> [Action] {
        answerOrder(.refuseOrder(refusal))
    }

    private mutating func answerOrder(_ answer: Action) -> [Action] {
        defer { order = nil }
        return order == nil ? [] : [.cancelTimer(.orderAnswer), answer]
    }

    /// Nobody waits for the order any more, or it can't be done where the guest is by now.
    mutating func giveUpOrder(_ refusal: OrderRefusal) -> [Action] {
        guard let order else { return [] }
        if isWorking { isWorkDisowned = true }
        var actions: [Action] = [.cancelTimer(.orderAttempt)]
        switch order {
        case .leave, .arrive: actions.append(.stopAwaiting)
        case .attach, .detach, .suspend, .resume, .prepareToLeave, .comeBack: break
        }
        return actions + refuseOrder(refusal)
    }

    /// Whoever gave it is gone. What can be done as well for nobody goes on to its end.
    mutating func abandonOrder() -> [Action] {
        switch (order, state) {
        case (.attach, _), (.detach, _), (.leave, .running): return giveUpOrder(.wrongState)
        case (.leave, .paused(let paused)) where paused.step == .held: return giveUpOrder(.wrongState)
        case (.arrive, .paused(let paused)) where paused.step == .released: return giveUpOrder(.wrongState)
        default: return []
        }
    }

    /// Neither lease manager nor monitor has answered.
    mutating func unanswered() -> [Action] {
        if case .paused(let paused) = state, paused.step == .waiting, order != nil {
            // Of lost leases the next attempt comes by itself.
            if case .loss = paused.purpose {
                return giveUpOrder(.silent) + [.startTimer(.nextAttempt, seconds: 1)]
            }
            state = .paused(Paused(.released, paused.purpose))
        }
        return giveUpOrder(.silent)
    }

    /// After every event: an order whose guest is no longer there to carry it out is answered.
    mutating func answerForTheDead() -> [Action] {
        switch state {
        case .running, .pausing, .paused: []
        case .acquiring, .starting, .stopping, .rescuing, .releasing, .finished:
            giveUpOrder(isLossAnnounced ? .leasesLost : .ended)
        }
    }
}

// MARK: - Leases that come and go while the guest runs

extension Supervision {
    private mutating func workOnLeases(_ order: Order) -> [Action] {
        isWorking = true
        waitingSinceSeconds = nil
        let answer = Action.startTimer(.orderAnswer, seconds: settings.attemptSeconds)
        return switch order {
        case .attach(let requests, _): [.takeMore(requests), answer]
        case .detach(let requests): [.giveSomeBack(requests), answer]
        case .suspend, .resume, .prepareToLeave, .leave, .comeBack, .arrive: []
        }
    }

    /// What came of it, wherever the guest is by now; nil: the event is another one.
    mutating func workEnded(_ event: Event) -> [Action]? {
        switch event {
        case .moreTaken:
            guard endWork() else { return [.dropTaken] }
            let isFirst = !isLeased
            isLeased = true
            return [.keepTaken] + answerOrder(.completeOrder)
                + (isFirst ? watchFromNow() : [.lookAtLeases(isUrged: false)])
        case .moreRefused(let refusal, let nowSeconds):
            let look: [Action] = isLeased ? [.lookAtLeases(isUrged: false)] : []
            return look + (endWork() ? workRefused(refusal, nowSeconds) : [])
        case .someReleased(let areAnyLeft, let problem):
            let isWanted = endWork()
            isLeased = areAnyLeft
            let watching: [Action] =
                areAnyLeft
                ? [.lookAtLeases(isUrged: false)]
                : [.cancelTimer(.leaseLook), .cancelTimer(.renewalWarning), .cancelTimer(.renewalFailure)]
            return watching + (isWanted ? answerOrder(problem.map(Action.refuseOrder) ?? .completeOrder) : [])
        case .timerFired(.orderAttempt):
            guard case .attach(let requests, _) = order else { return [] }
            isWorking = true
            return [.takeMore(requests), .startTimer(.orderAnswer, seconds: settings.attemptSeconds)]
        default:
            return nil
        }
    }

    // False where nobody waits for it any more.
    private mutating func endWork() -> Bool {
        defer {
            isWorking = false
            isWorkDisowned = false
        }
        return isWorking && !isWorkDisowned
    }

    private mutating func workRefused(_ refusal: OrderRefusal, _ now: Double) -> [Action] {
        if case .attach(_, let waitSeconds) = order, case .leases(let failure) = refusal, failure.isBusy {
            let since = waitingSinceSeconds ?? now
            if now - since < max(waitSeconds, ownPatience(failure.outcome)) {
                waitingSinceSeconds = since
                return [
                    .cancelTimer(.orderAnswer), .startTimer(.orderAttempt, seconds: Supervision.orderPauseSeconds),
                ]
            }
        }
        waitingSinceSeconds = nil
        return refuseOrder(refusal)
    }

    private static let orderPauseSeconds = 0.1
}
