import ArgumentParser
import ControlProtocol
import GuestDirectory
import HostChecks
import Platform
import SupervisorConnection

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the guests of this host, and how their leases are.",
        discussion: "Also ends what a supervisor and a keeper that were killed left behind, and says so.")

    /// How long the guests' supervisors may take to answer, in seconds.
    private static let patienceSeconds = 5.0

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an array of Status.") var json = false

    func run() throws {
        let directory = try settings.allGuests()
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
        let sights = GuestSight.all(in: directory, within: List.patienceSeconds)
        if json {
            try show(JSON.array(sights.compactMap(\.known).map(\.json)).prettyDescription + "\n")
        } else {
            try show(List.text(sights))
        }
        if let silent = sights.first(where: { $0.source != .supervisor }) { throw Problem(silent.problem) }
    }

    private static func text(_ sights: [GuestSight]) -> String {
        var table = Table(["NAME", "STATE", "PID", "LEASES", "WATCHDOG", "SINCE", "HEALTH"])
        let now = Clock.wallTime().seconds
        for sight in sights {
            guard let status = sight.status else { continue }
            let health = GuestHealth(status: status, events: sight.events, secondsSince1970: now)
            table.add([
                status.name.printable, status.state.rawValue, status.childPid.map(String.init) ?? "-",
                String(status.leases.count), status.watchdog ? "on" : "off", status.since,
                sight.source == .supervisor ? health.words : "not known: its supervisor does not answer",
            ])
        }
        return table.text
    }
}
