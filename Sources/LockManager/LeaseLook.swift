import Glibc
import Leases
import Platform
import SanlockLeases
import Synchronization

extension LockManagerPlugin.Sanlock {
    /// Looks at the leases of a guest that is to be started. libsanlock's calls can't be given up, so they are made on a thread
    /// of the library's own, and one that hangs keeps that thread and not the caller.
    func prepare(
        _ resources: [Resource], isIncoming: Bool, timeoutSeconds: Double
    ) throws(LockManagerError) {
        let directory = LeaseDirectory(settings: leases)
        var requests: [LeaseRequest] = []
        for resource in resources {
            if let request = try request(resource, directory) { requests.append(request) }
        }
        if requests.isEmpty { return }
        let answer: Answer
        do throws(SystemError) {
            answer = try Answer()
            let worker = try Answer.worker.get()
            _ = worker.takeResults()
            worker.perform { [requests] in
                answer.give(
                    Result { () throws(LeaseFailure) in try directory.prepare(requests, isIncoming: isIncoming) })
            }
        } catch {
            throw .unavailable(error.message)
        }
        guard let result = answer.wait(seconds: timeoutSeconds) else {
            throw .unavailable("the sanlock daemon or the lease storage does not answer")
        }
        do throws(LeaseFailure) { try result.get() } catch { throw LockManagerError(error) }
    }

    private func request(
        _ resource: Resource, _ directory: LeaseDirectory
    ) throws(LockManagerError) -> LeaseRequest? {
        switch resource {
        case .disk(_, .readonly): return nil
        case .disk(let name, let mode):
            let path = try Resource.path(ofDisk: name)
            return hasAutomaticLeases
                ? directory.request(ofDisk: path, mode: mode == .shared ? .shared : .exclusive) : nil
        case .lease(let spelling):
            do throws(LeaseSpellingError) { return try LeaseRequest(spelling: spelling) } catch {
                throw .invalidResource(spelling, why: error.problem)
            }
        }
    }
}

/// What comes from the library's thread.
private final class Answer: Sendable {
    static let worker = Result { () throws(SystemError) in try WorkerThread<Void>() }

    private let result = Mutex<Result<Void, LeaseFailure>?>(nil)
    private let wakeup: Wakeup

    init() throws(SystemError) { wakeup = try Wakeup() }

    func give(_ result: Result<Void, LeaseFailure>) {
        self.result.withLock { $0 = result }
        wakeup.raise()
    }

    /// Nil: not in time.
    func wait(seconds: Double) -> Result<Void, LeaseFailure>? {
        let deadline = Clock.monotonicSeconds() + seconds
        while true {
            if let result = result.withLock({ $0 }) { return result }
            let left = deadline - Clock.monotonicSeconds()
            guard left > 0 else { return nil }
            var wait = pollfd(fd: wakeup.descriptor.number, events: Int16(POLLIN), revents: 0)
            poll(&wait, 1, Int32(min(left, 3600) * 1000) + 1)
        }
    }
}
