import Platform
import QEMUMonitor

/// One connection to the guest's monitor.
final class MonitorConnection {
    let descriptor: Descriptor
    var identity: UInt64 = 0
    var conversation = MonitorConversation()
    private var waiting: [UInt8] = []
    private static let mostWaiting = 65536

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }

    var isBehind: Bool { !waiting.isEmpty }

    /// Sends a command, or as much of it as goes. Returns the id that the reply has; nil where the monitor is gone.
    func send(_ command: MonitorCommand) -> Int? {
        let (id, bytes) = conversation.send(command)
        waiting += bytes
        // One that reads nothing is as good as gone.
        return flush() && waiting.count < MonitorConnection.mostWaiting ? id : nil
    }

    /// The same with a descriptor, which goes with the first byte. Nil also where something else waits to be sent.
    func send(_ command: MonitorCommand, with number: Int32) -> Int? {
        guard waiting.isEmpty else { return nil }
        let (id, bytes) = conversation.send(command)
        guard let sent = try? UnixSocket.send(bytes, with: number, to: descriptor) else { return nil }
        waiting = Array(bytes.dropFirst(sent))
        return id
    }

    func flush() -> Bool {
        while !waiting.isEmpty {
            let result = waiting.withUnsafeBytes { bytes in
                Result { () throws(SystemError) in try descriptor.write(bytes) }
            }
            guard case .success(let count) = result else { return false }
            guard let count else { return true }
            waiting.removeFirst(count)
        }
        return true
    }
}

/// What has come of waiting for a guest's writes.
struct Settling: Sendable {
    /// Which time that was.
    let number: Int
    let failure: SystemError?
}

/// What the supervisor knows of the guest's monitor and wants of it.
final class GuestMonitor {
    /// What a reply is waited for.
    enum Question: Equatable {
        /// Whether the guest runs, while nobody stops it.
        case atFirst
        /// Whether the guest runs before it is stopped.
        case before
        case stop
        /// Whether it is at work on an image by itself.
        case jobs
        /// Whether it stands still after it was stopped.
        case after
        /// Whether it does after its disks were waited for.
        case confirmed
        /// Whether it still does, on a connection that is new.
        case still
        case goOn
        /// Whether it runs.
        case running
        case keepDescriptor
        /// What it has open.
        case nodes
        /// Whether a migration has made it stand still.
        case standstill
        case migrate
        /// How far that has come.
        case migration
        case activateLate
    }

    var connection: MonitorConnection?
    var questions: [Int: Question] = [:]
    /// Whether it has ever confirmed that it is one.
    var wasReady = false
    var attempts = 0
    /// When it confirmed that on this connection.
    var readySeconds = 0.0
    /// Whether the guest is to stand still, and hasn't been asked yet.
    var wantsPause = false
    /// Whether `stop` was answered: that alone says that the guest's writes are done.
    var isStopAnswered = false
    /// Whether it was answered that no job writes while the guest stands.
    var areJobsAtRest = false
    /// Whether a migration is to be called off, and it couldn't be told yet.
    var wantsMigrationCancelled = false
    /// Whether the guest runs, by the last that was heard.
    var isGuestRunning: Bool?
    /// Whether it ran when it was stopped; one that its own manager had stopped isn't ours to continue.
    /// Nil: that isn't known yet.
    var wasRunning: Bool?
    /// Whether an emulator that waits for a migration was told to leave its images alone, and takes connections by now.
    var isReadyToReceive = false
    /// Whether it said that the guest has stopped after it was asked for its status, and before it answered.
    var hasStoppedSince = false
    /// Whether it was told to migrate the guest, and hasn't answered.
    var isMigrationAsked: Bool { questions.values.contains(.migrate) }
    /// Whether it was ever told to let the guest go on, or did so by itself.
    var mayHaveGoneOn = false
    /// Whether it ran when a migration away from here began.
    var ranBeforeLeaving = true
    /// Whether the lease connection is yet to be handed over.
    var wantsConnection = false
    /// What the guest's processes had written at the last look.
    var writtenBytes: UInt64?
    /// Waits for the guest's writes. The worker may be kept by a daemon that hangs, which is when a guest has to stand still.
    var settler: WorkerThread<Settling>?
    /// How often they were waited for: what comes late of an earlier time says nothing of this one.
    var settlings = 0
}
