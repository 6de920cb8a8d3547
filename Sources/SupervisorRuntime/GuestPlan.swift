import ControlProtocol
import GuestDirectory
import Leases
import Platform
import Supervision

/// Everything that is decided before the supervisor starts its work.
public struct GuestPlan: Sendable {
    /// The guest's name.
    public var name: GuestName
    /// Its UUID.
    public var uuid: String
    /// Its number in the management tool, where that gave one.
    public var id: Int?
    /// The leases it needs.
    public var leases: [LeaseRequest]
    /// The disks that they stand for, as devices of this host.
    public var devices: DeviceClaim?
    /// What is executed, and the caller's signals and environment with it.
    public var start: GuestStart
    /// What to expect of the guest, and the time limits.
    public var settings: Supervision.Settings
    /// From SIGTERM to SIGKILL, in seconds, where nobody says otherwise.
    public var stopTimeoutSeconds: Double
    /// The guest's monitor, a socket that the guest opens for the supervisor; nil: it has none.
    public var monitorPath: String?
    /// The run directory.
    public var runDirectory: RunDirectory
    /// Files to write the guest's and the supervisor's pid to.
    public var pidFile: String?
    /// See `pidFile`.
    public var supervisorPidFile: String?
    /// The descriptors that the process was started with.
    public var callerDescriptors: [Int32]
    /// A descriptor to write the ready line to, closed afterwards.
    public var readyDescriptor: Int32?
    /// The way to the process that the caller waits for, where the supervisor is detached from it.
    public var front: Front?
    /// The log from the moment that nobody waits in front any more; nil: as before.
    public var logOnceDetached: LogTarget?
    /// Who writes the log.
    public var logWriter = LogWriter()
    /// The service manager's socket.
    public var notifySocket: String?
    /// Children that the process had before it was the supervisor: not the guest's, and not ours to kill.
    public var sparedChildren: [ProcessIdentity] = []
    /// What to warn of once the guest runs.
    public var warnings: [String]
    /// What the program that this process may become has to know of the driver's settings.
    public var driverSettings = JSON.null
    /// Where the program of this process is installed.
    public var program = OwnProcess.program ?? ""
    /// What it was called with.
    public var arguments = StringVector(argumentsWithoutFirst: 1)

    /// The caller's process of a detached supervisor.
    public struct Front: Sendable {
        /// Bytes written here are printed by it; when the descriptor closes, it exits.
        public var descriptor: Int32
        /// Whether it prints the ready line.
        public var printsLine: Bool

        /// States both.
        public init(descriptor: Int32, printsLine: Bool) {
            self.descriptor = descriptor
            self.printsLine = printsLine
        }
    }

    /// A plan with the parts that every guest has.
    public init(
        name: GuestName, uuid: String, leases: [LeaseRequest], start: GuestStart, settings: Supervision.Settings,
        stopTimeoutSeconds: Double, runDirectory: RunDirectory, callerDescriptors: [Int32]
    ) {
        self.name = name
        self.uuid = uuid
        self.leases = leases
        self.start = start
        self.settings = settings
        self.stopTimeoutSeconds = stopTimeoutSeconds
        self.runDirectory = runDirectory
        self.callerDescriptors = callerDescriptors
        warnings = []
    }
}
