import Glibc
import Platform
import Supervision

// What the keeper and the caller tell.
extension Supervisor {
    func readReports() {
        guard let keeper else { return }
        var suspension: Int32?
        reading: while true {
            switch keeper.next() {
            case .nothingYet: break reading
            case .end:
                loop.forget(keeper.reports.number, identity: keeperIdentity)
                self.keeper = nil
                if result == nil { handle(.keeperEnded) }
                break reading
            case .report(.stopped(let signal)):
                suspension = [SIGTSTP, SIGTTIN, SIGTTOU].contains(signal) ? signal : nil
            case .report(.continued):
                suspension = nil
            case .report(.started(let identity)):
                child = identity
                writeState()
                handle(.guestStarted)
            case .report(.adopted(let identity)):
                child = identity
                handle(.guestAdopted)
                writeChild()
            case .report(.failed(let step, let number)):
                handle(.guestFailedToStart(step: step, number: number))
            case .report(.ended(let status)):
                handle(.guestEnded(Supervisor.end(ofWaitStatus: status)))
            }
        }
        if let suspension { handle(.guestSuspended(signal: suspension)) }
    }

    private static func end(ofWaitStatus status: Int32) -> GuestEnd {
        let signal = status & 0x7f
        return signal == 0 ? .exited(status: status >> 8 & 0xff) : .died(signal: signal)
    }

    func readSignals() {
        while let signal = signals.next() {
            switch signal.number {
            case SIGTERM:
                handle(.stopRequested(timeoutSeconds: plan.stopTimeoutSeconds))
            case SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2:
                pass(signal)
            case SIGCHLD:
                if let keeper { _ = OwnProcess.reap(keeper.pid) }
                reapTrial()
            case SIGTSTP, SIGTTIN, SIGTTOU:
                // Once there is a guest, its own stop decides.
                if case .acquiring = supervision.state, !plan.start.caller.ignores(signal.number) {
                    OwnProcess.raise(signal.number)
                }
            case LeaseNotice.look.signal:
                handle(.lookUrged)
            case LeaseNotice.requested.signal:
                lookForDemands(.notice)
            default:
                // Being continued needs nothing.
                break
            }
        }
    }

    private func pass(_ signal: SignalReceived) {
        if case .acquiring = supervision.state {
            let isForGuest = signal.number == SIGUSR1 || signal.number == SIGUSR2
            if !isForGuest, !plan.start.caller.ignores(signal.number) { handle(.interrupted(signal: signal.number)) }
        } else if standsWithoutLeases, signal.number != SIGUSR1, signal.number != SIGUSR2 {
            // Passed on, it would have the emulator end in good order, and write to disks that may be somebody else's.
            handle(.stopRequested(timeoutSeconds: plan.stopTimeoutSeconds))
        } else if !signal.isFromKernel || signal.number == SIGHUP && getsid(0) == getpid() {
            // The terminal's own have reached the guest already; but a hang-up goes to the session's leader alone.
            keeper?.send(signal: signal.number)
        }
    }
}
