import ControlProtocol
import GuestDirectory
import Leases
import Platform
import Supervision

/// What a supervisor hands to the program that it becomes: all that is known of a guest that is at rest, and the descriptors by
/// their numbers. The two programs may be of different versions, so each form has a number (docs/decisions/upgrading.md).
public struct Handover: Sendable, Equatable {
    /// The form that is written and read here.
    public static let version: Int64 = 1

    /// What a program that is tried repeats, to show that it has read all of it.
    public var word: String
    /// What `ps` calls the process by.
    public var shownName: String

    // Who the guest is.
    public var name: String
    public var uuid: String
    public var id: Int?
    public var command: [String]

    /// What its caller wanted.
    public var wishes: Wishes
    /// Where the leases are from.
    public var driver: Driver
    /// Where the guest is in its life.
    public var life: Supervision.Carried
    /// What is known of its leases.
    public var leases: Leases
    /// Its processes.
    public var processes: Processes
    /// Since when it is where it is.
    public var since: String
    /// The last events, and the last one's number.
    public var events: [WireEvent]
    public var lastSequence: Int
    /// What is known of its monitor.
    public var monitor: Monitor
    /// The devices that it has on this host.
    public var devices: DeviceClaim.Carried
    /// What is open.
    public var descriptors: Descriptors

    /// What the caller wanted.
    public struct Wishes: Sendable, Equatable {
        public var pauses: Bool
        public var stopTimeoutSeconds: Double
        public var stopSeconds: Double
        public var attemptSeconds: Double
        public var monitorPath: String?
        public var runDirectory: String
        public var pidFile: String?
        public var supervisorPidFile: String?
        public var log: Log
        /// Whether standard error leads to somebody.
        public var hasMessages: Bool
    }

    /// Where the log goes; the descriptor is nil for syslog.
    public struct Log: Sendable, Equatable {
        public var descriptor: Int32?
        public var isJSON: Bool
        public var level: String
    }

    /// Where the leases are from.
    public struct Driver: Sendable, Equatable {
        public var name: String
        public var settings: JSON
        public var carried: CarriedLeases
    }

    /// What is known of the leases.
    public struct Leases: Sendable, Equatable {
        public var leases: [HeldLease]
        public var state: WireLease.State
        public var areAdrift: Bool
        public var lossDetail: String
        public var lockspaces: [LockspaceState]
        /// When they were certainly held, in seconds of the monotonic clock.
        public var sinceSeconds: Double
        public var isWatchdogOn: Bool
        /// Whether another host asks for one, and that is to be looked at.
        public var areAskedFor: Bool
    }

    /// The guest's process, the keeper, and the children that are none of the guest's.
    public struct Processes: Sendable, Equatable {
        public var child: ProcessIdentity
        public var keeperPid: Int32
        public var spared: [ProcessIdentity]
    }

    /// What is known of the monitor; see `GuestMonitor`.
    public struct Monitor: Sendable, Equatable {
        public var wasReady: Bool
        public var wasRunning: Bool?
        public var wantsConnection: Bool
        public var writtenBytes: UInt64?
    }

    /// The numbers of what is open, the log's apart.
    public struct Descriptors: Sendable, Equatable {
        public var listener: Int32
        /// The file that the lock on the guest's name is on.
        public var lock: Int32
        public var keeperReports: Int32
        public var leaseConnection: Int32?
        public var devices: Int32?
        /// Who asked for the upgrade, and waits for the answer.
        public var client: Int32?
    }

    /// Every descriptor but standard input, output and error.
    public var numbers: [Int32] {
        [
            descriptors.listener, descriptors.lock, descriptors.keeperReports, descriptors.leaseConnection,
            descriptors.devices, descriptors.client, wishes.log.descriptor,
        ].compactMap { $0 }.filter { $0 > 2 }
    }

}

extension Handover {
    /// The longest one that is read, in bytes: a guest's command line may have two million.
    private static let longestBytes = 1 << 25

    /// Reads the one behind a descriptor.
    ///
    /// - Throws: what is wrong with it, for a person.
    public init(from descriptor: Int32) throws(Problem) {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try MemoryFile.read(descriptor, limit: Handover.longestBytes) } catch {
            throw Problem(text: "what was handed over can't be read: \(error.message)")
        }
        do { try self.init(json: try JSON(parsing: bytes)) } catch {
            throw Problem(text: "what was handed over can't be read: \(error)")
        }
    }

    /// One line.
    public struct Problem: Error, Sendable {
        /// Without the program's name in front.
        public let text: String

        /// States it.
        public init(text: String) {
            self.text = text
        }
    }
}
