import Glibc
import Synchronization

/// One thread that does blocking jobs in their order, so that the event loop never blocks.
///
/// What a job needs goes with it, and what it brings waits for `results`. The thread ends with the process.
public final class WorkerThread<Result: Sendable>: Sendable {
    private struct Queue: Sendable {
        var jobs: [@Sendable () -> Result] = []
        var results: [Result] = []
        /// Jobs whose results were not taken yet.
        var undone = 0
    }

    private let queue = Mutex(Queue())
    private let wanted = Semaphore()
    /// Readable when results wait. Borrowed by the poller.
    public let wakeup: Wakeup

    /// Starts the thread, with all signals blocked as in its maker.
    ///
    /// - Parameter stackBytes: the thread's stack; libsanlock puts a resource's paths on it.
    public init(stackBytes: Int = 256 * 1024) throws(SystemError) {
        wakeup = try Wakeup()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = Unmanaged.passRetained(Body { [self] in work() })
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, &attributes,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        if failure != 0 {
            context.release()
            throw SystemError("pthread_create", number: failure)
        }
    }

    /// Has a job done on the thread.
    public func perform(_ job: @escaping @Sendable () -> Result) {
        queue.withLock { queue in
            queue.jobs.append(job)
            queue.undone += 1
        }
        wanted.signal()
    }

    /// Whether there is nothing to do, and no result that was not taken.
    public var isIdle: Bool { queue.withLock { $0.undone == 0 } }

    /// The results that have come since the last look.
    public func takeResults() -> [Result] {
        wakeup.clear()
        return queue.withLock { queue in
            defer {
                queue.undone -= queue.results.count
                queue.results = []
            }
            return queue.results
        }
    }

    private func work() {
        while true {
            wanted.wait()
            guard let job = queue.withLock({ $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }) else { continue }
            let result = job()
            queue.withLock { $0.results.append(result) }
            wakeup.raise()
        }
    }
}

/// A C thread takes one pointer.
private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A counting semaphore between threads. Source: `man 7 sem_overview`.
private final class Semaphore: @unchecked Sendable {
    // sem_t must not move, so it lives on the heap under one address.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func signal() { sem_post(semaphore) }

    func wait() {
        while sem_wait(semaphore) != 0 {}
    }
}
