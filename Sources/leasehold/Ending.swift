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
        let found = try FoundGuest.named(guest, in: settings.runDirectory())
        let seconds = timeout.flatMap(parseDuration)
        let reply = try GuestConnection(found, timeoutSeconds: nil).call(.shutdown(timeoutSeconds: seconds))
        try show(try reply.value("exit"), json: json)
    }
}

struct Kill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kill a guest at once.",
        discussion: "Returns when the guest is dead and its leases are free. A supervisor that does not answer is killed.")

    /// Longer than a supervisor takes with a sanlock daemon that hangs.
    private static let patienceSeconds = 12

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an Exit.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        do {
            let reply = try GuestConnection(found, timeoutSeconds: Kill.patienceSeconds).call(.kill)
            try show(try reply.value("exit"), json: json)
        } catch is GuestConnection.TimedOut {
            try killSupervisor(found, in: directory)
        }
    }

    // The keeper kills the guest when its supervisor is gone; what is left after that is a leftover.
    private func killSupervisor(_ found: FoundGuest, in directory: RunDirectory) throws {
        guard let supervisor = ProcessIdentity(runningAs: found.supervisorPid),
            found.paths.livingSupervisor == found.supervisorPid
        else { return }
        let state = found.paths.readState()
        supervisor.signal(SIGKILL)
        for _ in 0..<400 where supervisor.isAlive || state?.child?.isAlive == true { usleep(5000) }
        _ = Leftover.endAll(in: directory)
        let name = state?.status.name ?? guest
        try show("\(name.printable) killed, with its supervisor, which did not answer; its leases aren't known to be free\n")
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
        var path = GuestName(fromEmulator: guest).map(directory.exitRecord)
        var uuid: String?
        if let found = try? FoundGuest.named(guest, in: directory) {
            let connection = try GuestConnection(found, timeoutSeconds: nil)
            let status: WireStatus = try connection.call(.monitor, more: true).value("status")
            uuid = status.uuid
            path = "\(directory.exits)/\(found.paths.fileName).json"
            while try connection.next() != nil {}
        }
        guard let path, let exit = Wait.record(path), uuid == nil || exit.uuid == uuid else {
            if uuid != nil {
                throw Problem(Problem.notFound, "\(guest) has ended without a record: its supervisor was killed")
            }
            throw Problem(Problem.notFound, "no guest '\(guest)' runs or ran here; see leasehold list")
        }
        try show(exit, json: json)
    }

    private static func record(_ path: String) -> WireExit? {
        guard let bytes = try? Files.read(path, limit: 65536), let json = try? JSON(parsing: bytes) else { return nil }
        return try? WireExit(json: json)
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
