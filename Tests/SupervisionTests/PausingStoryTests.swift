import Leases
import Testing

@testable import Supervision

/// The stories of a guest whose leases are lost.
@Suite struct PausingStoryTests {
    private static let deadlines = LeaseDeadlines(
        nextLookSeconds: 2, warningSeconds: 8, failureSeconds: 12, endSeconds: 43)

    private func running(pauses: Bool = true) -> Supervision {
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: 60)
        settings.pauses = pauses
        settings.firstDeadlines = Self.deadlines
        var guest = Supervision(settings: settings)
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        _ = guest.handle(.guestStarted)
        return guest
    }

    @Test func leasesAreWatchedFromTheStart() {
        var guest = running()
        #expect(guest.handle(.timerFired(.leaseLook)) == [.lookAtLeases(isUrged: false)])
        #expect(
            guest.handle(.leasesSeen(Self.deadlines)) == [
                .startTimer(.leaseLook, seconds: 2), .startTimer(.renewalFailure, seconds: 12),
                .startTimer(.renewalWarning, seconds: 8),
            ])
        #expect(guest.handle(.timerFired(.renewalWarning)) == [.announceLeaseWarning, .lookAtLeases(isUrged: true)])
        #expect(guest.handle(.lookUrged) == [.lookAtLeases(isUrged: true)])
    }

    @Test func aLookThatNeverComesBackIsAnsweredByTheDeadline() {
        var guest = running(pauses: false)
        _ = guest.handle(.leasesSeen(Self.deadlines))
        // 43 s after the look the guest must be dead, and 12 of them are over; but nobody waits longer than --stop-timeout.
        #expect(
            guest.handle(.timerFired(.renewalFailure)) == [
                .askGuestToStop, .startTimer(.stop, seconds: 30), .announceLeaseLoss,
            ])
        #expect(guest.handle(.timerFired(.stop)).first == .killGuest)
        _ = guest.handle(.guestEnded(.died(signal: 9)))
        #expect(guest.state == .releasing(.guestEnded(.died(signal: 9), .leaseLost)))
    }

    @Test func lossUnderAnOrderlyStopHastensIt() {
        var guest = running(pauses: false)
        _ = guest.handle(.stopRequested(timeoutSeconds: 600))
        #expect(
            guest.handle(.leasesLost(endSeconds: 35)) == [.hastenTimer(.stop, seconds: 35), .announceLeaseLoss])
        #expect(guest.handle(.leasesLost(endSeconds: 34)) == [.hastenTimer(.stop, seconds: 34)])
    }

    @Test func guestOfADeadDaemonStandsStillAndGoesOn() {
        var guest = running()
        #expect(
            guest.handle(.leaseConnectionLost) == [
                .letKeeperWait(seconds: 0.75), .pauseGuest, .startTimer(.pause, seconds: 0.55), .announceLeaseLoss,
            ])
        #expect(
            guest.handle(.guestPaused) == [
                .cancelTimer(.pause), .letKeeperWait(seconds: nil), .announcePause(.loss(goesOn: true)),
                .startTimer(.nextAttempt, seconds: 0.2),
            ])
        #expect(guest.handle(.timerFired(.nextAttempt)) == [.connect])
        let none = LeaseFailure(.daemonUnreachable, detail: "")
        #expect(guest.handle(.leasesRefused(none, nowSeconds: 0)) == [.startTimer(.nextAttempt, seconds: 1)])
        #expect(guest.handle(.timerFired(.nextAttempt)) == [.connect])
        #expect(guest.handle(.connected) == [.retakeLeases(orNext: false)])
        let taken = guest.handle(.leasesTaken)
        #expect(taken.prefix(2) == [.startTimer(.resume, seconds: 2), .resumeGuest])
        // Held again, they are watched again, whether or not the guest is known to go on.
        #expect(taken.contains(.lookAtLeases(isUrged: false)))
        #expect(taken.contains(.startTimer(.renewalFailure, seconds: 12)))
        let actions = guest.handle(.guestWentOn)
        #expect(actions.contains(.announceResume) && guest.state == .running)
        // And all over again.
        #expect(guest.handle(.leaseConnectionLost).contains(.announceLeaseLoss))
    }

    /// A guest that takes its memory for minutes before it runs has no more time than one that runs.
    @Test func leasesAreWatchedWhileTheGuestStarts() {
        var settings = Supervision.Settings(daemonizes: true, waitSeconds: 0, attemptSeconds: 60)
        settings.firstDeadlines = Self.deadlines
        var guest = Supervision(settings: settings)
        _ = guest.begin()
        _ = guest.handle(.connected)
        #expect(
            guest.handle(.leasesTaken) == [
                .cancelTimer(.attemptAnswer), .startGuest, .startTimer(.leaseLook, seconds: 2),
                .startTimer(.renewalFailure, seconds: 12), .startTimer(.renewalWarning, seconds: 8),
            ])
        _ = guest.handle(.guestStarted)
        #expect(guest.handle(.timerFired(.leaseLook)) == [.lookAtLeases(isUrged: false)])
        #expect(guest.handle(.leasesSeen(Self.deadlines)).contains(.startTimer(.renewalFailure, seconds: 12)))
        #expect(guest.handle(.timerFired(.renewalWarning)) == [.lookAtLeases(isUrged: true)])
        var late = guest
        #expect(guest.handle(.guestAdopted) == [.announceStart, .lookAtLeases(isUrged: false)])
        let actions = late.handle(.timerFired(.renewalFailure))
        #expect(actions.first == .killGuest && actions.contains(.announceLeaseLoss))
    }

    @Test func guestOfLostStorageGivesItsLeasesBackWhileItStands() {
        var guest = running()
        #expect(
            guest.handle(.leasesLost(endSeconds: 34)) == [
                .pauseGuest, .startTimer(.pause, seconds: 17), .announceLeaseLoss,
            ])
        #expect(
            guest.handle(.guestPaused) == [.cancelTimer(.pause), .announcePause(.loss(goesOn: true)), .giveLeasesBack])
        #expect(guest.handle(.leasesReleased(free: false)) == [.startTimer(.nextAttempt, seconds: 1)])
        #expect(guest.handle(.timerFired(.nextAttempt)) == [.retakeLeases(orNext: false)])
        let gone = LeaseFailure(.lockspaceGone, detail: "")
        #expect(guest.handle(.leasesRefused(gone, nowSeconds: 0)) == [.startTimer(.nextAttempt, seconds: 1)])
        #expect(guest.state == .paused(Paused(.waiting, .loss(goesOn: true))))
    }

    @Test func guestWhoseLeaseAnotherHadStaysStopped() {
        var guest = running()
        _ = guest.handle(.leasesLost(endSeconds: 34))
        _ = guest.handle(.guestPaused)
        _ = guest.handle(.leasesReleased(free: true))
        _ = guest.handle(.timerFired(.nextAttempt))
        let taken = LeaseFailure(.wrongVersion, detail: "")
        #expect(guest.handle(.leasesRefused(taken, nowSeconds: 0)) == [.announceStay(taken)])
        #expect(guest.handle(.timerFired(.nextAttempt)).isEmpty)
        #expect(guest.handle(.killRequested).contains(.killGuest))
    }

    @Test func guestThatCantBeStoppedIsEndedInTheTimeThatIsLeft() {
        var guest = running()
        _ = guest.handle(.leasesLost(endSeconds: 34))
        #expect(
            guest.handle(.timerFired(.pause)) == [
                .cancelTimer(.pause), .askGuestToStop, .startTimer(.stop, seconds: 17),
            ])
        var urgent = running()
        _ = urgent.handle(.leaseConnectionLost)
        #expect(urgent.handle(.pauseFailed).contains(.killGuest))
    }

    @Test func connectionLostWhileStoppingTheGuestLeavesNoTime() {
        var guest = running()
        _ = guest.handle(.leasesLost(endSeconds: 34))
        #expect(
            guest.handle(.leaseConnectionLost) == [
                .letKeeperWait(seconds: 0.75), .hastenTimer(.pause, seconds: 0.55),
            ])
        #expect(guest.handle(.timerFired(.pause)).contains(.killGuest))
    }

    @Test func leasesLostAgainBeforeTheGuestIsKnownToGoOn() {
        var guest = running()
        _ = guest.handle(.leaseConnectionLost)
        _ = guest.handle(.guestPaused)
        _ = guest.handle(.timerFired(.nextAttempt))
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        #expect(guest.handle(.timerFired(.renewalFailure)).contains(.pauseGuest))
        #expect(guest.state == .pausing(Pausing(.loss(goesOn: true))))
    }

    @Test func othersWhoShareALeaseAreNoReasonToStay() {
        let resource = LeaseResource(lockspace: "L", name: "r", path: "/p", offsetBytes: 0)
        let shared = LeaseRequest(disk: nil, resource: resource, mode: .shared)
        var guest = running()
        _ = guest.handle(.leaseConnectionLost)
        _ = guest.handle(.guestPaused)
        _ = guest.handle(.timerFired(.nextAttempt))
        _ = guest.handle(.connected)
        let failure = LeaseFailure(.heldElsewhere, request: shared, detail: "")
        _ = guest.handle(.leasesRefused(failure, nowSeconds: 0))
        #expect(guest.state == .paused(Paused(.waiting, .loss(goesOn: true))))
    }

    @Test func monitorHasASecondToComeBack() {
        var guest = running()
        _ = guest.handle(.leaseConnectionLost)
        _ = guest.handle(.guestPaused)
        #expect(guest.handle(.monitorLost) == [.hastenTimer(.monitor, seconds: 1)])
        #expect(guest.handle(.guestPaused) == [.cancelTimer(.monitor)])
        _ = guest.handle(.monitorLost)
        #expect(guest.handle(.timerFired(.monitor)).contains(.killGuest))
    }

    @Test func guestThatNeverRanLeavesNoEnd() {
        var guest = Supervision(settings: .init(daemonizes: false, waitSeconds: 0, attemptSeconds: 60))
        _ = guest.begin()
        _ = guest.handle(.connected)
        _ = guest.handle(.leasesTaken)
        _ = guest.handle(.keeperEnded)
        _ = guest.handle(.orphansGone)
        #expect(guest.state == .releasing(.notStarted(.keeperDied)))
        #expect(ExitStatus(.notStarted(.keeperDied)) == .code(125))
    }
}
