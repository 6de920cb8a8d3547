import ArgumentParser
import ControlProtocol

struct SupervisorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "supervisor-command",
        abstract: "Print what to put in front of a guest's command line, as a JSON array.",
        discussion: "Options are those of leasehold run; give none after a --. With --json it prints the same.")

    @Argument(parsing: .captureForPassthrough)
    var options: [String] = []

    func run() throws {
        let given = (options.last == "--" ? Array(options.dropLast()) : options).filter { $0 != "--json" }
        if given.contains("--") { throw ValidationError("give options only: what follows a -- is the guest's") }
        if given.contains("--help") { throw CleanExit.helpRequest(self) }
        let words = [try Supervisor.path()] + given + ["--"]
        try show(JSON.array(words.map(JSON.string)).description + "\n")
    }
}
