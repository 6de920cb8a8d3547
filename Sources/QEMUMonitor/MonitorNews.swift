import ControlProtocol

/// What a monitor said.
public enum MonitorNews: Sendable, Equatable {
    /// Its first words, with QEMU's version (`7.2.22`) where they have one. Now ``MonitorCommand/capabilities`` is due.
    case greeted(version: String?)
    /// It confirmed the capabilities: it takes commands from now on, and sends events.
    case ready
    /// The answer to the command that was sent under this id.
    case reply(id: Int, MonitorReply)
    /// Something happened to the guest.
    case event(MonitorEvent)
}

/// A monitor's answer to a command.
public enum MonitorReply: Sendable, Equatable {
    /// It was done; with what it returned.
    case done(JSON)
    /// To ``MonitorCommand/queryStatus``.
    case status(MonitorStatus)
    /// To ``MonitorCommand/queryBlockNodes``.
    case nodes([MonitorNode])
    /// To ``MonitorCommand/queryJobs``.
    case jobs([MonitorJob])
    /// To ``MonitorCommand/queryMigration``.
    case migration(MonitorMigration)
    /// It was not done. The class is one of QEMU's (`GenericError`, `CommandNotFound`, …), the text one printable line of at
    /// most 300 characters.
    case refused(class: String, text: String)
}

/// An event (`qapi/run-state.json`). One says when it was sent, and nothing about what is so now.
public enum MonitorEvent: Sendable, Equatable {
    /// `STOP`: the processors stopped. The disks aren't drained yet.
    case stopped
    /// `RESUME`: the guest runs.
    case resumed
    /// `SHUTDOWN`: the guest was powered off, or QEMU was told to end.
    case shutdown
    /// `RESET`: the guest was reset.
    case reset
    /// `SUSPEND`: the guest went to sleep; see ``MonitorStatus/staysStopped``.
    case suspended
    /// `WAKEUP`: it woke.
    case woken
    /// Any other, by QEMU's name.
    case other(String)

    init(name: String) {
        self =
            switch name {
            case "STOP": .stopped
            case "RESUME": .resumed
            case "SHUTDOWN": .shutdown
            case "RESET": .reset
            case "SUSPEND": .suspended
            case "WAKEUP": .woken
            default: .other(name)
            }
    }
}

/// What a guest is doing, as QEMU has it (`RunState` in qapi/run-state.json).
public struct MonitorStatus: Sendable, Equatable {
    /// Whether the processors run. True exactly where the word is `running`.
    public let isRunning: Bool
    /// QEMU's word: `running`, `paused`, `prelaunch`, `io-error`, …
    public let word: String

    /// Whether the guest stands, and goes on only when somebody says `cont`.
    ///
    /// Not so with the words that stand for something passing: a guest that is `suspended` (asleep) is woken by its clock, a
    /// key or a packet; one in `finish-migrate`, `save-vm`, `restore-vm` or `colo` goes on when that is over; `inmigrate`
    /// starts with the end of the migration, unless it was stopped. With a word that isn't known here, nothing is known. See docs/decisions/qmp.md.
    public var staysStopped: Bool { Self.lastingWords.contains(word) }

    /// Whether the guest's whole state is somewhere else, whatever it did before.
    public var hasMigratedAway: Bool { word == "postmigrate" }

    private static let lastingWords: Set<String> = [
        "paused", "prelaunch", "preconfig", "io-error", "internal-error", "guest-panicked", "watchdog", "shutdown",
        "postmigrate", "debug",
    ]

    init(isRunning: Bool, word: String) {
        self.isRunning = isRunning
        self.word = word
    }
}

/// An image that QEMU has open (`BlockDeviceInfo` in qapi/block-core.json).
public struct MonitorNode: Sendable, Equatable {
    /// The node's name.
    public let name: String
    /// The file as QEMU was given it, or a `json:` text of it.
    public let file: String
    /// Whether QEMU has it open without writing to it.
    public let isReadOnly: Bool

    init?(json: JSON) {
        guard let file = json["file"]?.stringValue, let isReadOnly = json["ro"]?.boolValue else { return nil }
        name = json["node-name"]?.stringValue.map { shortLine($0, limit: 64) } ?? "?"
        self.file = file
        self.isReadOnly = isReadOnly
    }
}

/// Something that QEMU does to its images by itself (`JobInfo` in qapi/job.json).
public struct MonitorJob: Sendable, Equatable {
    /// Its name; those that QEMU names for itself are called after their disk.
    public let name: String
    /// QEMU's word: `running`, `ready`, `paused`, `concluded`, …
    public let word: String

    init?(json: JSON) {
        guard let name = json["id"]?.stringValue, let word = json["status"]?.stringValue else { return nil }
        self.name = shortLine(name, limit: 64)
        self.word = shortLine(word, limit: 64)
    }

    /// Whether it may write to an image, though the guest stands still: `stop` halts the processors and no job. One that is
    /// paused waits until somebody says `job-resume`.
    public var mayWrite: Bool { !Self.restingWords.contains(word) }

    private static let restingWords: Set<String> = ["created", "paused", "standby", "concluded", "null"]
}

/// How far an outgoing migration has come (`MigrationInfo` in qapi/migration.json).
public struct MonitorMigration: Sendable, Equatable {
    /// QEMU's word: `none`, `setup`, `active`, `completed`, `failed`, `cancelled`, …
    public let word: String
    /// Why it failed, on one short line, where QEMU says so.
    public let problem: String?

    init(word: String, problem: String?) {
        self.word = word
        self.problem = problem
    }

    /// Whether the guest's whole state is at the target.
    public var isCompleted: Bool { word == "completed" }

    /// Whether it is over without that.
    public var hasFailed: Bool { ["failed", "cancelled", "none"].contains(word) }
}
