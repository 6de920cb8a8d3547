import CSanlock
import Leases

/// A host of a lockspace, as this host's daemon has watched it.
struct WatchedHost {
    enum State: String {
        case unknown
        case free
        case live
        case failing
        case dead
    }

    let id: UInt64
    let generation: UInt64
    /// Seconds of that host's monotonic clock at its last renewal.
    let timestamp: UInt64
    let ioTimeoutSeconds: UInt32
    let state: State

    init(_ host: sanlk_host) {
        id = host.host_id
        generation = host.generation
        timestamp = host.timestamp
        ioTimeoutSeconds = host.io_timeout
        switch host.flags & UInt32(SANLK_HOST_MASK) {
        case UInt32(SANLK_HOST_FREE): state = .free
        case UInt32(SANLK_HOST_LIVE): state = .live
        case UInt32(SANLK_HOST_FAIL): state = .failing
        case UInt32(SANLK_HOST_DEAD): state = .dead
        default: state = .unknown
        }
    }

    /// After how many seconds without a renewal other hosts may have its leases: the time in which a watchdog is certain to
    /// have reset it. Source: `calc_host_dead_seconds` in sanlock's `timeouts.c`, with the watchdog's usual 60 s.
    var deadSeconds: Double { 8 * Double.ioSeconds(ioTimeoutSeconds) + 60 }
}
