import ArgumentParser
import ControlProtocol
import HostChecks

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a guest and its leases.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print a Status.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let status = try status(of: FoundGuest.named(guest, in: directory), named: guest, in: directory)
        try show(json ? status.json.prettyDescription + "\n" : Status.text(status))
    }

    private static func text(_ status: WireStatus) -> String {
        var facts: [(String, String)] = [
            ("Guest", status.name), ("UUID", status.uuid), ("State", status.state.rawValue), ("Since", status.since),
            ("Pid", status.childPid.map(String.init) ?? "-"), ("Supervisor", String(status.supervisorPid)),
            ("Driver", status.driver), ("On lease loss", status.onLeaseLoss),
            ("Watchdog", status.watchdog ? "on" : "off: a host that hangs is not fenced"),
            ("Command", status.command.joined(separator: " ")),
        ]
        if let user = status.childPid.flatMap(GuestUser.reachingSanlock) {
            facts.append(("User", "\(user): a guest that breaks out of its emulator could open sanlock's own socket"))
        }
        for lockspace in status.lockspaces {
            let host = lockspace.hostName.map { " (\($0))" } ?? ""
            facts.append(("Lockspace", "\(lockspace.name), host id \(lockspace.hostId)\(host)"))
        }
        let text = factsText(facts)
        if status.leases.isEmpty { return text + "\nNo leases.\n" }
        var table = Table(["DISK", "MODE", "STATE", "VERSION", "LEASE"])
        for lease in status.leases {
            table.add([
                lease.disk?.printable ?? "-", lease.mode.rawValue, lease.state.rawValue,
                lease.version.map(String.init) ?? "-", "\(lease.lockspace):\(lease.resource)".printable,
            ])
        }
        return text + "\n" + table.text
    }
}
