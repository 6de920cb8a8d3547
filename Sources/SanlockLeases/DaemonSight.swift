import CSanlock
import Glibc
import Leases
import Platform

/// The sanlock daemon as it can be looked at from outside: what the kernel, its command line and its settings tell, and
/// what it answers. Each of the asking calls blocks for as long as the daemon does.
public struct DaemonSight: Sendable {
    /// Its pid.
    public let pid: Int32
    /// With whose rights it uses lease files.
    public let user: ProcessUser
    /// The name that it was told to have in lockspaces; nil where it was told none.
    public let hostName: String?
    /// Whether it is set to use a watchdog.
    public let isToUseWatchdog: Bool
    /// How long it lets its clients end by themselves, in seconds.
    public let graceSeconds: Int
    /// How many of its clients it serves at once, where that was set.
    public let workerThreads: Int?

    /// The daemon that libsanlock would find.
    ///
    /// - Throws: the errno of connecting: ENOENT or ECONNREFUSED where none runs.
    public init() throws(SystemError) {
        let socket = try DaemonProcess.connect()
        guard let daemon = DaemonProcess(connectedTo: socket.number) else {
            throw SystemError("getsockopt", on: DaemonSight.socketPath, number: ENOTCONN)
        }
        pid = daemon.pid
        user = ProcessUser(of: daemon.pid) ?? ProcessUser(user: daemon.user, group: daemon.group, groups: [])
        hostName = daemon.hostName
        isToUseWatchdog = daemon.isToUseWatchdog
        graceSeconds = Int(exactly: daemon.graceSeconds.rounded()) ?? 40
        workerThreads = (daemon.value(of: "-t") ?? daemon.setting("max_worker_threads")).flatMap { Int($0) }
    }

    /// Where its socket is.
    public static var socketPath: String { "\(DaemonProcess.runDirectory)/sanlock.sock" }

    /// The version that it answers with, such as `3.8.5`.
    ///
    /// - Throws: a failure with sanlock's symbol in it.
    public static func version() throws(LeaseFailure) -> String {
        var version: UInt32 = 0
        var proto: UInt32 = 0
        let code = sanlock_version(0, &version, &proto)
        guard code >= 0 else { throw DaemonSight.failure(SanlockCode(number: code)) }
        return "\(version >> 24).\(version >> 16 & 0xff).\(version >> 8 & 0xff)"
    }

    /// This host in a lockspace of the daemon's.
    public struct Membership: Equatable, Sendable {
        /// The id that it joined with.
        public let hostId: UInt64
        /// The lockspace's file.
        public let path: String
        /// The io timeout in seconds; nil before the first renewal.
        public let ioTimeoutSeconds: Double?
        /// Seconds of CLOCK_MONOTONIC at the last renewal; nil before the first one.
        public let renewedSeconds: Double?
        /// How often the id was joined; nil before the first renewal.
        public let generation: UInt64?

        /// States all of it.
        public init(
            hostId: UInt64, path: String, ioTimeoutSeconds: Double?, renewedSeconds: Double?, generation: UInt64?
        ) {
            self.hostId = hostId
            self.path = path
            self.ioTimeoutSeconds = ioTimeoutSeconds
            self.renewedSeconds = renewedSeconds
            self.generation = generation
        }
    }

    /// This host in the lockspace of automatic leases; nil where it has not joined it.
    public static func membership() throws(LeaseFailure) -> Membership? {
        do throws(SanlockCode) {
            guard let joined = try SanlockCalls.joinedLockspaces().first(where: { $0.name == LeaseName.lockspace })
            else { return nil }
            // It is listed while it is being joined, too.
            guard
                try SanlockCalls.isJoined(
                    LeaseName.lockspace, hostId: joined.hostId, path: joined.path, waits: false)
            else { return nil }
            let own = try? SanlockCalls.hosts(of: LeaseName.lockspace).first { $0.id == joined.hostId }
            return Membership(
                hostId: joined.hostId, path: joined.path,
                ioTimeoutSeconds: own.map { Double.ioSeconds($0.ioTimeoutSeconds) },
                renewedSeconds: own.flatMap { $0.timestamp == 0 ? nil : Double($0.timestamp) },
                generation: own?.generation)
        } catch {
            throw failure(error)
        }
    }

    private static func failure(_ code: SanlockCode) -> LeaseFailure {
        LeaseFailure(code.outcome, detail: "the sanlock daemon answers \(code.symbol)")
    }
}
