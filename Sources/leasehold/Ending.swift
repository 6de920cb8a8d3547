import ArgumentParser
import Configuration
import ControlProtocol
import Glibc
import GuestDirectory
import Platform

struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop a guest: SIGTERM, then SIGKILL.",
        discussion: "Returns when the guest is dead and its leases are free.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Option(help: ArgumentHelp("From SIGTERM to SIGKILL, such as 30s or 2m.", valueName: "duration"))
    var timeout: String?
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an Exit.") var json = false

    func validate() throws {
        if let timeout, parseDuration(timeout) == nil {
            throw ValidationError("--timeout '\(timeout)' is no duration such as 30s or 2m")
        }
    }

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        // A supervisor that doesn't answer this would not stop anything either.
        let status = try status(of: found, named: guest, in: directory)
        let seconds = timeout.flatMap(parseDuration)
        do {
            let connection = try GuestConnection(found, timeoutSeconds: nil)
            try show(try connection.call(.shutdown(timeoutSeconds: seconds)).value("exit"), json: json)
        } catch is GuestConnection.Gone {
            try show(try EndedGuest(found, uuid: status.uuid, in: directory).exit(named: guest), json: json)
        }
    }
}

struct Kill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kill a guest at once.",
        discussion:
            "Returns when the guest is dead and its leases are free. A supervisor that does not answer is killed.")

    /// Longer than a supervisor takes with a sanlock daemon that hangs.
    private static let patienceSeconds = 12

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an Exit.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        let uuid = found.paths.readState()?.status.uuid
        do {
            let reply = try GuestConnection(found, timeoutSeconds: Kill.patienceSeconds).call(.kill)
            try show(try reply.value("exit"), json: json)
        } catch is GuestConnection.TimedOut {
            killSupervisor(found)
            try show(try EndedGuest(found, uuid: uuid, in: directory).exit(named: guest), json: json)
        } catch is GuestConnection.Gone {
            try show(try EndedGuest(found, uuid: uuid, in: directory).exit(named: guest), json: json)
        }
    }

    // The keeper kills the guest when its supervisor is gone; what is left after that is a leftover.
    private func killSupervisor(_ found: FoundGuest) {
        guard let supervisor = ProcessIdentity(runningAs: found.supervisorPid), found.isThere else { return }
        let child = found.paths.readState()?.child
        supervisor.signal(SIGKILL)
        for _ in 0..<400 where supervisor.isAlive || child?.isAlive == true { usleep(5000) }
    }
}

/// A guest whose supervisor was there and is not any more.
struct EndedGuest {
    private let path: String
    private let uuid: String?

    /// Waits until the supervisor has let go, and ends what it may have left behind.
    init(_ found: FoundGuest, uuid: String?, in directory: RunDirectory) {
        path = "\(directory.exits)/\(found.paths.fileName).json"
        self.uuid = uuid
        for _ in 0..<400 where found.isThere { usleep(5000) }
        _ = Leftover.endAll(in: directory)
    }

    /// How it ended.
    func exit(named name: String) throws -> WireExit {
        guard let exit = EndedGuest.record(path), uuid == nil || exit.uuid == uuid else {
            throw Problem(Problem.notFound, "\(name) has ended without having run")
        }
        return exit
    }

    /// What an exit record says; nil where there is none that can be read.
    static func record(_ path: String) -> WireExit? {
        guard let bytes = try? Files.read(path, limit: 65536), let json = try? JSON(parsing: bytes) else { return nil }
        return try? WireExit(json: json)
    }
}

struct Wait: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until a guest has ended, and print how.",
        discussion: "For a guest that has ended already, prints how the last one of that name ended.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an Exit.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        if let found = try? FoundGuest.named(guest, in: directory) {
            return try show(try follow(found, in: directory).exit(named: guest), json: json)
        }
        _ = Leftover.endAll(in: directory)
        let record = GuestName(fromEmulator: guest).map(directory.exitRecord).flatMap(EndedGuest.record)
        guard let exit = record ?? Wait.record(uuid: guest, in: directory) else {
            throw Problem(Problem.notFound, "no guest '\(guest)' runs or ran here; see leasehold list")
        }
        try show(exit, json: json)
    }

    private func follow(_ found: FoundGuest, in directory: RunDirectory) throws -> EndedGuest {
        var uuid: String?
        do {
            let connection = try GuestConnection(found, timeoutSeconds: nil)
            let status: WireStatus = try connection.call(.monitor, more: true).value("status")
            uuid = status.uuid
            while try connection.next() != nil {}
        } catch is GuestConnection.Gone {}
        return EndedGuest(found, uuid: uuid, in: directory)
    }

    private static func record(uuid: String, in directory: RunDirectory) -> WireExit? {
        ((try? Files.names(in: directory.exits)) ?? []).lazy.compactMap {
            EndedGuest.record("\(directory.exits)/\($0)")
        }
        .first { $0.uuid.lowercased() == uuid.lowercased() }
    }
}

/// Prints how a guest ended.
func show(_ exit: WireExit, json: Bool) throws {
    if json { return try show(exit.json.prettyDescription + "\n") }
    let how = exit.signal.map { "died of signal \($0)" } ?? exit.code.map { "exited with \($0)" } ?? "did not run"
    let why =
        switch exit.reason {
        case .exited: "by itself"
        case .stopped: "stopped"
        case .killed: "killed"
        case .leaseLost: "its leases were lost"
        case .keeperDied: "its keeper died"
        case .supervisorFailed: "its supervisor failed"
        }
    let leases = exit.leasesFree ? "its leases are free" : "its leases aren't known to be free"
    try show("\(exit.name.printable) \(how) (\(why)); \(leases)\n")
}
