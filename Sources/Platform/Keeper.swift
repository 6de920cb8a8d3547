import CPlatform
import Glibc

/// What the guest is started with, beyond what every child inherits.
public struct GuestStart: Sendable {
    /// The program's path.
    public var executable: String
    /// Its arguments, the name it is called by first.
    public var arguments: StringVector
    /// Its environment, `NAME=VALUE`.
    public var environment: StringVector
    /// What the caller had set.
    public var caller: Caller
    /// The registered sanlock socket, which guest and keeper inherit; nil: there is none.
    public var leaseSocket: Int32?
    /// A descriptor that the keeper keeps open until nothing of the guest is left; nil: there is none.
    public var deviceLocks: Int32?
    /// The number of that socket in the guest, above the caller's descriptors.
    public var guestLeaseSocket: Int32
    /// A descriptor of the caller's that the guest doesn't get.
    public var closedInGuest: Int32?
    /// Whether the first process may end with 0 and leave another one that is the guest.
    public var mayDaemonize: Bool

    /// All of it; who starts decides each.
    public init(
        executable: String, arguments: StringVector, environment: StringVector, caller: Caller, leaseSocket: Int32?,
        guestLeaseSocket: Int32, closedInGuest: Int32?, mayDaemonize: Bool
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.caller = caller
        self.leaseSocket = leaseSocket
        self.guestLeaseSocket = guestLeaseSocket
        self.closedInGuest = closedInGuest
        self.mayDaemonize = mayDaemonize
    }
}

/// What the keeper tells of the guest.
public enum KeeperReport: Equatable, Sendable {
    /// The guest's program runs.
    case started(ProcessIdentity)
    /// The guest's program could not be executed. The step that failed, and its errno.
    case failed(step: String, number: Int32)
    /// A signal stopped the guest's first process.
    case stopped(signal: Int32)
    /// It goes on.
    case continued
    /// The first process ended with 0 and this one stays.
    case adopted(ProcessIdentity)
    /// The guest ended with this wait status (`man 2 waitpid`), and no process of it is left.
    case ended(waitStatus: Int32)
}

/// The process between supervisor and guest, which kills the guest when the supervisor is gone. See `keeper.h`.
public final class Keeper {
    /// The keeper's pid: a child of this process, to be reaped by it.
    public let pid: Int32
    /// Readable when reports wait, at its end when the keeper is gone. Borrowed by the poller.
    public let reports: Descriptor

    /// Forks the keeper, which starts the guest and reports how that went.
    public init(starting start: borrowing GuestStart) throws(SystemError) {
        var socket: Int32 = -1
        let shell = start.arguments.replacingFirst(with: ["/bin/sh", start.executable])
        let pid = start.executable.withCString { executable in
            var plan = leasehold_start(
                executable: executable, arguments: start.arguments.pointer, environment: start.environment.pointer,
                shell_arguments: shell.pointer, caller: start.caller.state, lease_socket: start.leaseSocket ?? -1,
                device_locks: start.deviceLocks ?? -1, guest_lease_socket: start.guestLeaseSocket,
                closed_in_guest: start.closedInGuest ?? -1,
                adopts: start.mayDaemonize)
            return leasehold_keeper_start(&plan, &socket)
        }
        if pid < 0 { throw SystemError("fork") }
        self.pid = pid
        reports = Descriptor(adopting: socket)
    }

    /// Goes on with a keeper that this process forked as another program.
    public init(pid: Int32, adopting reports: consuming Descriptor) {
        self.pid = pid
        self.reports = reports
    }

    /// The next report that waits. Nil: none now. `.end` is the end of the stream.
    public enum Next: Equatable {
        case report(KeeperReport)
        case nothingYet
        case end
    }

    /// Reads one report without blocking.
    public func next() -> Next {
        var raw = leasehold_report()
        let size = MemoryLayout<leasehold_report>.size
        while true {
            let got = withUnsafeMutableBytes(of: &raw) { recv(reports.number, $0.baseAddress, size, 0) }
            // An order that the keeper didn't read before it ended shows as ECONNRESET, once, in front of its last reports.
            if got < 0, errno == EINTR || errno == ECONNRESET { continue }
            if got < 0, errno == EAGAIN { return .nothingYet }
            guard got == size, let report = Keeper.report(raw) else { return .end }
            return .report(report)
        }
    }

    /// Has the guest's first process signalled, by its parent, so that no other process can be hit.
    public func send(signal: Int32) {
        order(LEASEHOLD_ORDER_SIGNAL, signal)
    }

    /// Has every process of the guest killed.
    public func kill() {
        order(LEASEHOLD_ORDER_KILL, 0)
    }

    /// How long a lease socket that hung up is left to this process before the keeper kills the guest; nil: for good.
    public func wait(seconds: Double?) {
        order(LEASEHOLD_ORDER_WAIT, seconds.map { Int32(max(0, min($0, 3600)) * 1000) } ?? -1)
    }

    /// Gives the keeper a copy of a new lease socket, to keep open and watch instead of the one that it has.
    ///
    /// - Returns: whether it was told.
    public func watch(leaseSocket: Int32) -> Bool {
        let order = leasehold_order(kind: Int32(LEASEHOLD_ORDER_LEASES.rawValue), value: 0)
        return withUnsafeBytes(of: order) {
            leasehold_send_descriptor(reports.number, $0.baseAddress, $0.count, leaseSocket) == $0.count
        }
    }

    private func order(_ kind: leasehold_order_kind, _ value: Int32) {
        var order = leasehold_order(kind: Int32(kind.rawValue), value: value)
        _ = withUnsafeMutableBytes(of: &order) {
            Glibc.send(reports.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
    }

    private static func report(_ raw: leasehold_report) -> KeeperReport? {
        let identity = ProcessIdentity(pid: raw.pid, startTime: raw.start_time)
        switch leasehold_report_kind(rawValue: UInt32(raw.kind)) {
        case LEASEHOLD_GUEST_STARTED: return .started(identity)
        case LEASEHOLD_GUEST_FAILED: return .failed(step: step(raw.step), number: raw.value)
        case LEASEHOLD_GUEST_STOPPED: return .stopped(signal: raw.value)
        case LEASEHOLD_GUEST_CONTINUED: return .continued
        case LEASEHOLD_GUEST_ADOPTED: return .adopted(identity)
        case LEASEHOLD_GUEST_ENDED: return .ended(waitStatus: raw.value)
        default: return nil
        }
    }

    private static func step(_ number: Int32) -> String {
        switch leasehold_step(rawValue: UInt32(number)) {
        case LEASEHOLD_STEP_FORK: return "fork"
        case LEASEHOLD_STEP_PARENT: return "prctl"
        case LEASEHOLD_STEP_DESCRIPTOR: return "dup2"
        default: return "exec"
        }
    }
}
