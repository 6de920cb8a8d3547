import Glibc
import Platform
import Synchronization

/// Writes the log's lines: at once until the guest runs, and then on a thread of its own, since a log on storage that hangs
/// must hold up nothing else. Lines that nobody takes are lost.
public final class LogWriter: Sendable {
    /// The most lines that wait.
    private static let mostWaiting = 256

    private let thread = Mutex<WorkerThread<Bool>?>(nil)
    private let waiting = Mutex(0)

    /// One that writes at once.
    public init() {}

    /// From here lines are written beside all else; where no thread can be had, as before.
    func startThread() {
        thread.withLock { $0 = $0 ?? (try? WorkerThread()) }
    }

    func write(_ line: @escaping @Sendable () -> Void) {
        guard let thread = thread.withLock({ $0 }) else { return line() }
        _ = thread.takeResults()
        let hasRoom = waiting.withLock { waiting in
            if waiting >= LogWriter.mostWaiting { return false }
            waiting += 1
            return true
        }
        guard hasRoom else { return }
        thread.perform { [self] in
            line()
            waiting.withLock { $0 -= 1 }
            return true
        }
    }

    /// Whether all is written.
    var isIdle: Bool { waiting.withLock { $0 == 0 } }

    /// Waits until all is written, up to a second.
    func flush() {
        let deadline = Clock.monotonicSeconds() + 1
        while waiting.withLock({ $0 }) > 0, Clock.monotonicSeconds() < deadline { usleep(1000) }
    }
}
