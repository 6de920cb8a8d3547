import Glibc
import Leases
import Platform
import SanlockLeases
import Supervision
import Synchronization

/// Does what may take long on a thread of its own, and says on a terminal meanwhile what it is and how long yet. A sanlock daemon
/// that hangs is waited for no longer than ten seconds: libsanlock itself would wait for good.
func working<Result: Sendable>(
    _ job: @escaping @Sendable (@escaping @Sendable (LeaseProgress) -> Void) throws(LeaseFailure) -> Result
) throws -> Result {
    let note = LastProgress()
    let worker: WorkerThread<Swift.Result<Result, LeaseFailure>>
    do throws(SystemError) { worker = try WorkerThread() } catch { throw Problem(Problem.failure, error.message) }
    worker.perform {
        Swift.Result { () throws(LeaseFailure) in try job { note.set($0) } }
    }
    var line = TerminalLine(on: 2)
    defer { line.clear() }
    // What is over at once gets no line.
    var waitMilliseconds: Int32 = 700
    var patience = DaemonPatience()
    while true {
        var wait = pollfd(fd: worker.wakeup.descriptor.number, events: Int16(POLLIN), revents: 0)
        if poll(&wait, 1, waitMilliseconds) > 0, let result = worker.takeResults().first {
            line.clear()
            do throws(LeaseFailure) { return try result.get() } catch { throw Problem(error) }
        }
        waitMilliseconds = 250
        let (text, time) = note.text ?? ("waiting for the sanlock daemon and the lease storage", "")
        line.show("leasehold: \(text)", end: time)
        if patience.isOver() {
            line.clear()
            throw Problem(LeaseFailure.daemonSilent)
        }
    }
}

/// Asks the daemon now and then whether it is still there, while something is waited for that it may have to answer.
private struct DaemonPatience {
    private static let silentSeconds = 7.0
    private static let pauseSeconds = 2.5
    private let thread = try? WorkerThread<Bool>()
    private var askedSeconds: Double?
    private var answeredSeconds = Clock.monotonicSeconds()

    mutating func isOver() -> Bool {
        guard let thread else { return false }
        let now = Clock.monotonicSeconds()
        if thread.takeResults().isEmpty {
            if let askedSeconds { return now - askedSeconds > DaemonPatience.silentSeconds }
        } else {
            askedSeconds = nil
            answeredSeconds = now
        }
        if now - answeredSeconds > DaemonPatience.pauseSeconds {
            // Whatever it says, it answers; and one that isn't there is none that hangs.
            thread.perform { (try? DaemonSight.version()) != nil }
            askedSeconds = now
        }
        return false
    }
}

/// What the job said last.
private final class LastProgress: Sendable {
    private let last = Mutex<(progress: LeaseProgress, atSeconds: Double)?>(nil)

    func set(_ progress: LeaseProgress) {
        last.withLock { $0 = (progress, Clock.monotonicSeconds()) }
    }

    var text: (what: String, time: String)? {
        guard let (progress, atSeconds) = last.withLock({ $0 }) else { return nil }
        guard let most = progress.secondsAtMost else { return (progress.text, "") }
        let left = max(0, most - (Clock.monotonicSeconds() - atSeconds))
        return (progress.text, ": at most \(Int(left.rounded(.up))) s")
    }
}

/// A bar of how much is done, for `working`.
func bar(_ what: String, _ done: Int, of all: Int) -> LeaseProgress {
    let width = 24
    let filled = all == 0 ? width : width * done / all
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
    return LeaseProgress("\(what) [\(bar)] \(done) of \(all)", secondsAtMost: nil)
}

extension Problem {
    /// A lease operation that failed.
    init(_ failure: LeaseFailure) {
        self.init(ExitStatus.code(of: failure.outcome), failure.reason(.unknown))
    }
}
