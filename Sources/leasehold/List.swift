import ArgumentParser
import ControlProtocol
import GuestDirectory
import Platform

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the guests of this host.",
        discussion: "Also ends what a supervisor and a keeper that were killed left behind, and says so.")

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an array of Status.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        for leftover in Leftover.endAll(in: directory) {
            let pid = leftover.guest.map { " (pid \($0.pid))" } ?? ""
            let text =
                !leftover.isEnded
                ? "guest \(leftover.name)\(pid), which a killed supervisor left behind, can't be ended now"
                : leftover.hadProcesses
                    ? "ended guest \(leftover.name)\(pid), which a killed supervisor left behind"
                    : "removed what the killed supervisor of guest \(leftover.name) left behind"
            try? Files.write(Array("leasehold: \(text.printable)\n".utf8), to: 2)
        }
        var statuses: [WireStatus] = []
        var silent: [String] = []
        for paths in directory.guestDirectories() {
            guard let guest = FoundGuest(paths) else { continue }
            do {
                statuses.append(try status(of: guest, named: paths.fileName, in: directory))
            } catch let problem as Problem {
                // One that ended just now is no guest any more.
                if problem.code != Problem.notFound { silent.append(problem.text) }
            }
        }
        if json {
            try show(JSON.array(statuses.map(\.json)).prettyDescription + "\n")
        } else {
            var table = Table(["NAME", "STATE", "PID", "LEASES", "SINCE"])
            for status in statuses {
                table.add([
                    status.name.printable, status.state.rawValue, status.childPid.map(String.init) ?? "-",
                    String(status.leases.count), status.since,
                ])
            }
            try show(table.text)
        }
        if let first = silent.first { throw Problem(Problem.unavailable, first) }
    }
}
