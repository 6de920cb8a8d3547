import ArgumentParser
import ControlProtocol
import GuestDirectory
import HostChecks
import Platform
import SupervisorConnection

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a guest, its leases, and how they are.",
        discussion: """
            Of a supervisor that does not answer it shows what was written down last, without the renewals, says so, and exits \
            with 69.
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print a Status.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        do {
            let status = try status(of: found, named: guest, in: directory)
            let events = json ? [] : found.paths.readState()?.events ?? []
            try show(json ? status.json.prettyDescription + "\n" : Status.text(status, events))
        } catch let problem as Problem {
            if problem.code == Problem.unavailable, let state = found.paths.readState() {
                try show(
                    json
                        ? state.status.withoutRenewals.json.prettyDescription + "\n"
                        : Status.text(state.status, state.events, writtenDown: Status.time(of: found.paths.state)))
            }
            throw problem
        }
    }

    // When a file was written.
    private static func time(of path: String) -> String {
        guard let kind = try? Files.kind(of: path), let seconds = Int64(exactly: kind.changedSeconds.rounded()) else {
            return "a time that isn't known"
        }
        return rfc3339(secondsSince1970: seconds)
    }

    // libvirt's plugin goes by paths of this host only.
    private static func named(_ disk: String) -> String {
        disk.printable + (disk.startsWithBytes(of: "/") ? "" : " (not shared with libvirt hosts)")
    }

    private static func text(_ status: WireStatus, _ events: [WireEvent], writtenDown time: String? = nil) -> String {
        var facts: [(String, String)] = [
            ("Guest", status.name), ("UUID", status.uuid), ("State", status.state.rawValue), ("Since", status.since),
            ("Pid", status.childPid.map(String.init) ?? "-"), ("Supervisor", String(status.supervisorPid)),
            ("Driver", status.driver), ("On lease loss", status.onLeaseLoss),
            ("Watchdog", status.watchdog ? "on" : "off: a host that hangs is not fenced"),
            ("Command", status.command.joined(separator: " ")),
        ]
        if let time { facts.append(("Answers", "no: all this was written down at \(time)")) }
        if let user = status.childPid.flatMap(GuestUser.reachingSanlock) {
            facts.append(("User", "\(user): a guest that breaks out of its emulator could open sanlock's own socket"))
        }
        let known = time == nil ? status : status.withoutRenewals
        facts += GuestHealth(status: known, events: events, secondsSince1970: Clock.wallTime().seconds).facts
        let text = factsText(facts)
        if status.leases.isEmpty { return text + "\nNo leases.\n" }
        var table = Table(["DISK", "MODE", "STATE", "VERSION", "LEASE"])
        for lease in status.leases {
            table.add([
                lease.disk.map(Status.named) ?? "-", lease.mode.rawValue, lease.state.rawValue,
                lease.version.map(String.init) ?? "-", "\(lease.lockspace):\(lease.resource)".printable,
            ])
        }
        return text + "\n" + table.text
    }
}
