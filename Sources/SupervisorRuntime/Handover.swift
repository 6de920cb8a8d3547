import ControlProtocol
import GuestDirectory
import Leases
import Platform
import Supervision

/// What a supervisor hands to the program that it becomes: all that is known of a guest that is at rest, and the descriptors by
/// their numbers. The two programs may be of different versions, so each form has a number (docs/decisions/upgrading.md).
package struct Handover: Sendable, Equatable {
    /// The form that is written and read here.
    package static let version: Int64 = 1

    /// What a program that is tried repeats, to show that it has read all of it.
    package var word: String
    /// What `ps` calls the process by.
    package var shownName: String

    // Who the guest is.
    package var name: String
    package var uuid: String
    package var id: Int?
    package var command: [String]

    /// What its caller wanted.
    package var wishes: Wishes
    /// Where the leases are from.
    package var driver: Driver
    /// Where the guest is in its life.
    package var life: Supervision.Carried
    /// What is known of its leases.
    package var leases: Leases
    /// Its processes.
    package var processes: Processes
    /// Since when it is where it is.
    package var since: String
    /// The last events, and the last one's number.
    package var events: [WireEvent]
    package var lastSequence: Int
    /// What is known of its monitor.
    package var monitor: Monitor
    /// The devices that it has on this host.
    package var devices: DeviceClaim.Carried
    /// What is open.
    package var descriptors: Descriptors

    /// What the caller wanted.
    package struct Wishes: Sendable, Equatable {
        package var pauses: Bool
        package var stopTimeoutSeconds: Double
        package var stopSeconds: Double
        package var attemptSeconds: Double
        package var monitorPath: String?
        package var runDirectory: String
        package var pidFile: String?
        package var supervisorPidFile: String?
        package var log: Log
        /// Whether standard error leads to somebody.
        package var hasMessages: Bool
    }

    /// Where the log goes; the descriptor is nil for syslog.
    package struct Log: Sendable, Equatable {
        package var descriptor: Int32?
        package var isJSON: Bool
        package var level: String
    }

    /// Where the leases are from.
    package struct Driver: Sendable, Equatable {
        package var name: String
        package var settings: JSON
        package var carried: CarriedLeases
    }

    /// What is known of the leases.
    package struct Leases: Sendable, Equatable {
        package var leases: [HeldLease]
        package var state: WireLease.State
        package var areAdrift: Bool
        package var isOneUnmarked: Bool
        package var lossDetail: String
        package var lockspaces: [LockspaceState]
        /// When they were certainly held, in seconds of the monotonic clock.
        package var sinceSeconds: Double
        package var isWatchdogOn: Bool
        /// Whether another host asks for one, and that is to be looked at.
        package var areAskedFor: Bool
    }

    /// The guest's process, the keeper, and the children that are none of the guest's.
    package struct Processes: Sendable, Equatable {
        package var child: ProcessIdentity
        package var keeperPid: Int32
        package var spared: [ProcessIdentity]
    }

    /// What is known of the monitor; see `GuestMonitor`.
    package struct Monitor: Sendable, Equatable {
        package var wasReady: Bool
        package var wasRunning: Bool?
        package var wantsConnection: Bool
        package var writtenBytes: UInt64?
    }

    /// The numbers of what is open, the log's apart.
    package struct Descriptors: Sendable, Equatable {
        package var listener: Int32
        /// The file that the lock on the guest's name is on.
        package var lock: Int32
        package var keeperReports: Int32
        package var leaseConnection: Int32?
        package var devices: Int32?
        /// Who asked for the upgrade, and waits for the answer.
        package var client: Int32?
    }

    /// Every descriptor but standard input, output and error.
    package var numbers: [Int32] {
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
    package init(from descriptor: Int32) throws(Problem) {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try MemoryFile.read(descriptor, limit: Handover.longestBytes) } catch {
            throw Problem(text: "what was handed over can't be read: \(error.message)")
        }
        do { try self.init(json: try JSON(parsing: bytes)) } catch {
            throw Problem(text: "what was handed over can't be read: \(error)")
        }
    }

    /// One line.
    package struct Problem: Error, Sendable {
        /// Without the program's name in front.
        package let text: String

        /// States it.
        package init(text: String) {
            self.text = text
        }
    }
}
