import ArgumentParser
import Configuration
import ControlProtocol
import Glibc
import GuestDirectory
import Platform
import SupervisorConnection

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
        let exit: WireExit
        do throws(ConnectionError) {
            exit = try order(.shutdown(timeoutSeconds: seconds), found, doing: "stopping \(guest)").exit(of: found)
        } catch {
            guard error.isGone else { throw error }
            exit = try EndedGuest(found, uuid: status.uuid, in: directory).exit(named: guest)
        }
        try show(exit, json: json)
    }
}

struct Kill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kill a guest at once.",
        discussion:
            "Returns when the guest is dead and its leases are free. A supervisor that does not answer is killed.")

    /// Longer than a supervisor takes with a sanlock daemon that hangs.
    private static let patienceSeconds = 12.0

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an Exit.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        let uuid = found.paths.readState()?.status.uuid
        let exit: WireExit
        do throws(ConnectionError) {
            exit = try order(.kill, found, doing: "killing \(guest)", atMost: Kill.patienceSeconds).exit(of: found)
        } catch {
            switch error {
            case .silent: found.killSupervisor()
            case .gone: break
            default: throw error
            }
            exit = try EndedGuest(found, uuid: uuid, in: directory).exit(named: guest)
        }
        try show(exit, json: json)
    }
}

extension ReplyMessage {
    fileprivate func exit(of guest: FoundGuest) throws(ConnectionError) -> WireExit {
        do throws(WireError) { return try value("exit") } catch { throw .unexpected(guest.paths.fileName, error) }
    }
}

extension EndedGuest {
    /// How it ended.
    fileprivate func exit(named name: String) throws -> WireExit {
        guard let exit else { throw Problem(Problem.notFound, "\(name) has ended without having run") }
        return exit
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
        guard let exit = EndedGuest.record(named: guest, in: directory) else {
            throw Problem(Problem.notFound, "no guest '\(guest)' runs or ran here; see leasehold list")
        }
        try show(exit, json: json)
    }

    private func follow(_ found: FoundGuest, in directory: RunDirectory) throws -> EndedGuest {
        var uuid: String?
        var line = WaitingLine("waiting for the end of \(guest)")
        repeat {
            do {
                let connection = try GuestConnection(found, timeoutSeconds: nil)
                try connection.send(.monitor, more: true)
                guard let first = try line.next(on: connection) else { throw ConnectionError.gone(connection.name) }
                let status: WireStatus = try first.value("status")
                uuid = status.uuid
                while try line.next(on: connection) != nil {}
            } catch let error as ConnectionError where error.isGone {}
            // One that lives was upgraded; one that was killed is gone in a moment.
            usleep(5000)
        } while found.isThere
        return EndedGuest(found, uuid: uuid, in: directory)
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
