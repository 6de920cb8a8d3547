import Leases
import Platform
import Synchronization

/// When each host of a lockspace was last seen to renew, as long as this process looks.
final class HostWatch: Sendable {
    private struct Sight {
        var generation: UInt64
        var timestamp: UInt64
        var changedSeconds: Double
        /// When it was first seen to fail since.
        var failingSeconds: Double?
    }

    private let sights = Mutex<[UInt64: Sight]>([:])

    /// Takes a look at all hosts that the daemon knows.
    func look(at lockspace: String) -> [UInt64: WatchedHost] {
        let hosts = (try? SanlockCalls.hosts(of: lockspace)) ?? []
        let now = Clock.monotonicSeconds()
        sights.withLock { sights in
            for host in hosts {
                let last = sights[host.id]
                if last?.generation == host.generation, last?.timestamp == host.timestamp {
                    if host.state == .failing, last?.failingSeconds == nil { sights[host.id]?.failingSeconds = now }
                    continue
                }
                sights[host.id] = Sight(
                    generation: host.generation, timestamp: host.timestamp, changedSeconds: now,
                    failingSeconds: host.state == .failing ? now : nil)
            }
        }
        return Dictionary(hosts.map { ($0.id, $0) }) { first, _ in first }
    }

    /// In how many seconds a host's leases can be had, at most, unless it renews.
    ///
    /// - Parameter ioSeconds: this host's own io timeout, in whose renewals the daemon notices.
    func freeWithinSeconds(_ host: WatchedHost, ioSeconds: Double) -> Double {
        let noticed = 2 * ioSeconds + 2
        let now = Clock.monotonicSeconds()
        let sight = sights.withLock { $0[host.id] }
        let left = host.deadSeconds - (now - (sight?.changedSeconds ?? now))
        // What this process hasn't seen the daemon has: a host that it calls failing was silent for 8 io timeouts.
        switch host.state {
        case .dead, .free: return noticed
        case .failing: return max(0, min(left, 60 - (now - (sight?.failingSeconds ?? now)))) + noticed
        case .live, .unknown: return max(0, left) + noticed
        }
    }
}
