import Leases
import Platform
import Supervision
import Synchronization

/// What the driver says it is waiting for, on its way from the worker to the loop.
final class ProgressNote: Sendable {
    private let last = Mutex<LeaseProgress?>(nil)
    private let wake: @Sendable () -> Void

    init(wake: @escaping @Sendable () -> Void) {
        self.wake = wake
    }

    /// Leaves a note, on the worker.
    func note(_ progress: LeaseProgress) {
        last.withLock { $0 = progress }
        wake()
    }

    /// The last note, once.
    func take() -> LeaseProgress? {
        last.withLock { last in
            defer { last = nil }
            return last
        }
    }
}

/// What a start waits for.
struct Waiting {
    var text: String
    /// When it is over at the latest, in seconds of the monotonic clock.
    var untilSeconds: Double?
}

// A start that takes longer than a moment says on a terminal what it waits for.
extension Supervisor {
    /// Shorter waits aren't worth a line.
    private static var patienceSeconds: Double { 0.7 }

    func takeProgress() {
        guard let progress = progress.take() else { return }
        wait(for: progress.text, seconds: progress.secondsAtMost)
    }

    /// Of a refusal after which the leases are asked for again.
    func showWaiting(for failure: LeaseFailure) {
        guard let subject = failure.request?.subject else { return }
        let holder = failure.holder
        let name = holder.map(\.shortDescription) ?? "somebody"
        switch (failure.outcome, holder?.liveness) {
        case (.deadNotExpired, _):
            wait(for: "holder dead: \(name) had \(subject)", seconds: holder?.freeWithinSeconds)
        case (.beingReleased, _):
            wait(for: "being taken or released: \(subject)", seconds: nil)
        case (_, .live):
            wait(for: "holder alive: \(name) has \(subject)", seconds: nil)
        default:
            wait(for: "holder not known to be alive: \(name) has \(subject)", seconds: nil)
        }
    }

    private func wait(for text: String, seconds: Double?) {
        guard waitingLine.hasReader, case .acquiring = supervision.state else { return }
        let isNew = waiting == nil
        waiting = Waiting(text: text, untilSeconds: seconds.map { $0 + Clock.monotonicSeconds() })
        if isNew {
            loop.start(.waitingLine, seconds: Supervisor.patienceSeconds)
        }
    }

    /// Draws the line, each second.
    func drawWaiting() {
        guard case .acquiring(let acquiring) = supervision.state, let waiting else { return stopWaiting() }
        let now = Clock.monotonicSeconds()
        // What counts goes first: a narrow terminal shows no more.
        var text = "leasehold: \(plan.name.text) waits"
        if let until = waiting.untilSeconds { text += " at most \(max(0, Int((until - now).rounded(.up)))) s" }
        if let since = acquiring.busySinceSeconds, plan.settings.waitSeconds > 0 {
            text += " (gives up in \(max(0, Int((since + plan.settings.waitSeconds - now).rounded(.up)))) s)"
        }
        text += ": \(waiting.text)"
        waitingLine.show(text)
        loop.start(.waitingLine, seconds: 1)
    }

    /// Takes the line away: the guest runs, or the start has failed.
    func stopWaiting() {
        waiting = nil
        loop.cancel(.waitingLine)
        waitingLine.clear()
    }
}
