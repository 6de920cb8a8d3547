import Leases
import Testing

@testable import Supervision

/// The stories that a guest's life can tell, event by event.
@Suite struct StoryTests {
    private let busy = LeaseFailure(.heldElsewhere, detail: "held (EEXIST -17)")
    private let releasing = LeaseFailure(.beingReleased, detail: "being released (EAGAIN -11)")

    private func supervision(daemonizes: Bool = false, wait: Double = 0) -> Supervision {
        Supervision(settings: .init(daemonizes: daemonizes, waitSeconds: wait, attemptSeconds: 60))
    }

    private func running() -> Supervision {
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        _ = guest.handle(.guestStarted)
        return guest
    }

    @Test func guestStartsOnlyWhenAllLeasesAreTaken() {
        var guest = supervision()
        #expect(guest.begin() == [.connect, .startTimer(.attemptAnswer, seconds: 10)])
        #expect(guest.handle(.connected) == [.takeLeases, .startTimer(.attemptAnswer, seconds: 60)])
        #expect(guest.handle(.leasesTaken) == [.cancelTimer(.attemptAnswer), .startGuest])
        #expect(guest.handle(.guestStarted) == [.announceStart])
        #expect(guest.state == .running)
    }

    @Test func daemonizingGuestRunsWhenItsFirstProcessIsReplaced() {
        var guest = supervision(daemonizes: true)
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        #expect(guest.handle(.guestStarted) == [])
        #expect(guest.handle(.guestAdopted) == [.announceStart])
    }

    @Test func leasesFollowTheGuestsEnd() {
        var guest = running()
        let actions = guest.handle(.guestEnded(.exited(status: 3)))
        #expect(actions.first == .announceEnd(.exited(status: 3), .exited))
        #expect(actions.contains(.releaseLeases))
        let end = Outcome.guestEnded(.exited(status: 3), .exited)
        #expect(guest.handle(.leasesReleased(free: true)).last == .finish(end, leasesFree: true))
        #expect(ExitStatus(end) == .code(3))
    }

    @Test func orderlyStopAsksThenKills() {
        var guest = running()
        #expect(guest.handle(.stopRequested(timeoutSeconds: 30)) == [.askGuestToStop, .startTimer(.stop, seconds: 30)])
        #expect(guest.handle(.timerFired(.stop)).first == .killGuest)
        _ = guest.handle(.guestEnded(.died(signal: 9)))
        #expect(guest.state == .releasing(.guestEnded(.died(signal: 9), .stopped)))
    }

    @Test func stopIsHastenedByAnotherAndNeverPutOff() {
        var guest = running()
        _ = guest.handle(.stopRequested(timeoutSeconds: 3600))
        #expect(guest.handle(.stopRequested(timeoutSeconds: 1)) == [.hastenTimer(.stop, seconds: 1)])
        _ = guest.handle(.timerFired(.stop))
        #expect(guest.handle(.stopRequested(timeoutSeconds: 9)) == [])
    }

    @Test func stopWhileStartingAsksAndGivesTime() {
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        #expect(guest.handle(.stopRequested(timeoutSeconds: 7)) == [.askGuestToStop, .startTimer(.stop, seconds: 7)])
        _ = guest.handle(.guestStarted)
        _ = guest.handle(.guestEnded(.exited(status: 42)))
        #expect(guest.state == .releasing(.guestEnded(.exited(status: 42), .stopped)))
    }

    @Test func lostConnectionKillsAtOnceWhateverGoesOn() {
        for stopFirst in [false, true] {
            var guest = running()
            if stopFirst { _ = guest.handle(.stopRequested(timeoutSeconds: 30)) }
            let actions = guest.handle(.leaseConnectionLost)
            #expect(actions.first == .killGuest && actions.contains(.announceLeaseLoss))
            _ = guest.handle(.guestEnded(.exited(status: 0)))
            #expect(guest.state == .releasing(.guestEnded(.exited(status: 0), .leaseLost)))
            #expect(ExitStatus(.guestEnded(.exited(status: 0), .leaseLost)) == .code(74))
        }
    }

    @Test func keeperThatDiesLeavesItsGuestToTheSupervisor() {
        var guest = running()
        #expect(guest.handle(.keeperEnded).first == .killOrphans)
        #expect(guest.handle(.timerFired(.orphanPass)).first == .killOrphans)
        _ = guest.handle(.orphansGone)
        #expect(guest.state == .releasing(.guestEnded(.died(signal: 9), .keeperDied)))
    }

    @Test func keeperThatDoesNotAnswerIsKilled() {
        var guest = running()
        _ = guest.handle(.killRequested)
        #expect(guest.handle(.timerFired(.killConfirmation)) == [.killKeeper])
        _ = guest.handle(.keeperEnded)
        _ = guest.handle(.orphansGone)
        #expect(guest.state == .releasing(.guestEnded(.died(signal: 9), .killed)))
    }

    @Test func busyLeaseFailsAtOnceWithoutWait() {
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        let actions = guest.handle(.leasesRefused(busy, nowSeconds: 5))
        #expect(actions == [.finish(.notStarted(.leases(busy)), leasesFree: true)])
        #expect(ExitStatus(.notStarted(.leases(busy))) == .code(75))
    }

    @Test func busyLeaseIsWaitedForAsLongAsAsked() {
        var guest = supervision(wait: 10)
        _ = guest.begin()
        _ = guest.handle(.connected)
        for now in [5.0, 9, 14.9] {
            #expect(
                guest.handle(.leasesRefused(busy, nowSeconds: now)).contains(.startTimer(.nextAttempt, seconds: 0.25)))
            #expect(guest.handle(.timerFired(.nextAttempt)).first == .takeLeases)
        }
        #expect(
            guest.handle(.leasesRefused(busy, nowSeconds: 15)) == [
                .finish(.notStarted(.leases(busy)), leasesFree: true)
            ])
    }

    @Test func leaseThatIsBeingReleasedIsWaitedForUnasked() {
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        let actions = guest.handle(.leasesRefused(releasing, nowSeconds: 5))
        #expect(actions.contains(.startTimer(.nextAttempt, seconds: 0.004)))
        _ = guest.handle(.timerFired(.nextAttempt))
        #expect(
            guest.handle(.leasesRefused(releasing, nowSeconds: 8.1)) == [
                .finish(.notStarted(.leases(releasing)), leasesFree: true)
            ])
    }

    @Test func aHolderWithoutARecordIsAskedAboutForAMoment() {
        let stranger = LeaseFailure(.heldWithoutRecord, detail: "held")
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        #expect(
            guest.handle(.leasesRefused(stranger, nowSeconds: 5)).contains(.startTimer(.nextAttempt, seconds: 0.02)))
        _ = guest.handle(.timerFired(.nextAttempt))
        #expect(
            guest.handle(.leasesRefused(stranger, nowSeconds: 7)) == [
                .finish(.notStarted(.leases(stranger)), leasesFree: true)
            ])
    }

    @Test func programThatCannotBeExecutedGivesTheLeasesBack() {
        var guest = supervision()
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        #expect(guest.handle(.guestFailedToStart(step: "exec", number: 2)).contains(.releaseLeases))
        #expect(ExitStatus(.notStarted(.program(step: "exec", number: 2))) == .code(127))
        #expect(ExitStatus(.notStarted(.program(step: "exec", number: 13))) == .code(126))
        #expect(ExitStatus(.notStarted(.program(step: "fork", number: 11))) == .code(125))
    }

    @Test func interruptedWaitEndsOfTheSameSignal() {
        var guest = supervision(wait: 100)
        _ = guest.begin()
        let outcome = Outcome.notStarted(.interrupted(signal: 2))
        #expect(guest.handle(.interrupted(signal: 2)) == [.finish(outcome, leasesFree: true)])
        #expect(ExitStatus(outcome) == .signal(2))
    }

    @Test func silentLeaseManagerIsGivenUpOn() {
        var guest = supervision()
        _ = guest.begin()
        #expect(
            guest.handle(.timerFired(.attemptAnswer)) == [.finish(.notStarted(.leaseManagerSilent), leasesFree: true)])
        #expect(ExitStatus(.notStarted(.leaseManagerSilent)) == .code(69))
    }

    @Test func releaseThatHangsDoesNotHoldTheSupervisor() {
        var guest = running()
        _ = guest.handle(.guestEnded(.exited(status: 0)))
        let end = Outcome.guestEnded(.exited(status: 0), .exited)
        #expect(guest.handle(.timerFired(.releaseAnswer)).last == .finish(end, leasesFree: false))
    }
}
