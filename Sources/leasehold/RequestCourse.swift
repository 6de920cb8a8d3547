import Glibc
import Leases
import Platform
import SanlockLeases

/// How a request goes: who has the lease is looked up, exactly that holder is asked, and it is waited for, if so wished.
struct RequestCourse: Sendable {
    enum Answer: Sendable {
        case missing
        case free
        case here(LeaseHolder)
        case shared(LeaseHolder)
        case dead(LeaseHolder)
        /// Asked for this version; how long it may take until the holder hears.
        case asked(LeaseHolder, version: UInt64, withinSeconds: Double)
        /// It was asked, and the lease is free.
        case givenUp(LeaseHolder)
        /// It was asked, and somebody else has the lease by now.
        case handedOn(LeaseHolder, LeaseHolder)
        /// It was asked, and the time is over.
        case kept(LeaseHolder)
    }

    private let asking: LeaseAsking
    private let request: LeaseRequest
    private let mode: LeaseDemand.Mode

    /// While it waits, how often the lease is looked at.
    private static let lookMicroseconds: UInt32 = 250_000
    /// How often the holder may change under the asker's hands.
    private static let mostAttempts = 5

    init(_ asking: LeaseAsking, _ request: LeaseRequest, _ mode: LeaseDemand.Mode) {
        self.asking = asking
        self.request = request
        self.mode = mode
    }

    func run(waiting seconds: Double?, _ progress: (LeaseProgress) -> Void) throws(LeaseFailure) -> Answer {
        for _ in 0..<RequestCourse.mostAttempts {
            switch try asking.sight(of: request) {
            case .missing: return .missing
            case .free: return .free
            case .here(let holder): return .here(holder)
            case .shared(let holder): return .shared(holder)
            case .dead(let holder): return .dead(holder)
            case .elsewhere(let holder, let version):
                guard try asking.ask(for: request, heldUnder: version, mode) else { continue }
                let within = asking.hearsWithinSeconds(holder, of: request)
                guard let seconds else { return .asked(holder, version: version + 1, withinSeconds: within) }
                return try wait(for: holder, version, seconds, askingEvery: within, progress)
            }
        }
        throw LeaseFailure(
            .beingReleased, request: request, detail: "its holder changes all the time (nobody could be asked)")
    }

    private func wait(
        for holder: LeaseHolder, _ version: UInt64, _ seconds: Double, askingEvery period: Double,
        _ progress: (LeaseProgress) -> Void
    ) throws(LeaseFailure) -> Answer {
        let began = Clock.monotonicSeconds()
        var asked = began
        progress(
            LeaseProgress(
                "waiting for \(holder.shortDescription) to give up \(request.subject)", secondsAtMost: seconds))
        while true {
            switch try asking.sight(of: request) {
            case .free, .missing: return .givenUp(holder)
            case .here(let next), .shared(let next): return .handedOn(holder, next)
            case .elsewhere(let next, let now) where now != version: return .handedOn(holder, next)
            case .elsewhere, .dead: break
            }
            let now = Clock.monotonicSeconds()
            if now - began >= seconds { return .kept(holder) }
            // A daemon that was told of something else just before looks at nothing new for six io timeouts.
            if now - asked >= period {
                asked = now
                _ = try asking.ask(for: request, heldUnder: version, mode)
            }
            usleep(RequestCourse.lookMicroseconds)
        }
    }
}
